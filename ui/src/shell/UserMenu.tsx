import { Dropdown, DropdownGroup, DropdownItem, DropdownList, MenuToggle } from "@patternfly/react-core";
import { UserIcon } from "@patternfly/react-icons/dist/esm/icons/user-icon";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { central, currentSession, isLoggedOut } from "../queries.ts";

export function UserMenu() {
  const [isOpen, setIsOpen] = useState(false);
  const { data: session } = useQuery(currentSession);
  const logOut = useLogOut();
  const username = session?.username ?? "";
  return (
    <Dropdown
      isOpen={isOpen}
      onOpenChange={setIsOpen}
      onSelect={() => setIsOpen(false)}
      popperProps={{ position: "right" }}
      toggle={(ref) => (
        <MenuToggle
          ref={ref}
          icon={<UserIcon />}
          isExpanded={isOpen}
          aria-label={`User menu of ${username}`}
          onClick={() => setIsOpen(!isOpen)}
        >
          {username}
        </MenuToggle>
      )}
    >
      <DropdownGroup label={`Central ${session?.centralVersion ?? ""}`}>
        <DropdownList>
          <DropdownItem key="log-out" onClick={() => logOut.mutate()}>
            Log out
          </DropdownItem>
        </DropdownList>
      </DropdownGroup>
    </Dropdown>
  );
}

function useLogOut() {
  const queries = useQueryClient();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: async () => {
      try {
        await central.deleteCurrentSession({});
      } catch (error) {
        if (!isLoggedOut(error)) throw error; // a session that has ended already is as good
      }
    },
    onSuccess: async () => {
      await navigate({ to: "/login", search: {} });
      queries.clear();
    },
  });
}
