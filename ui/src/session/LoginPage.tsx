import { Brand, Login, LoginFooter, LoginForm, LoginHeader, LoginMainBody, LoginMainHeader, Title } from "@patternfly/react-core";
import { ExclamationCircleIcon } from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRouter, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { central } from "../queries.ts";
import iconUrl from "../shell/icon.svg";
import { usePageTitle } from "../shell/use-page-title.ts";
import { returnTo } from "./return-to.ts";

export function LoginPage() {
  usePageTitle("Log in");
  const [username, setUsername] = useState("admin");
  const [password, setPassword] = useState("");
  const { mutate: logIn, error, isPending } = useLogIn();
  return (
    <Login
      header={<LoginHeader headerBrand={<Brand src={iconUrl} alt="Guestscan" heights={{ default: "4rem" }} />} />}
      footer={<LoginFooter>Vulnerable packages inside the virtual machines of your clusters</LoginFooter>}
    >
      <LoginMainHeader>
        <Title headingLevel="h1" size="2xl">
          Log in to Guestscan
        </Title>
      </LoginMainHeader>
      <LoginMainBody>
        <LoginForm
          noAutoFocus
          showHelperText={error !== null}
          helperText={<span role="alert">{error?.message}</span>}
          helperTextIcon={<ExclamationCircleIcon />}
          usernameLabel="Username"
          usernameValue={username}
          onChangeUsername={(_, value) => setUsername(value)}
          isValidUsername={error === null}
          passwordLabel="Password"
          passwordValue={password}
          onChangePassword={(_, value) => setPassword(value)}
          isValidPassword={error === null}
          isShowPasswordEnabled
          isLoginButtonDisabled={isPending}
          loginButtonLabel="Log in"
          onLoginButtonClick={(event) => {
            event.preventDefault();
            logIn({ username, password });
          }}
        />
      </LoginMainBody>
    </Login>
  );
}

function useLogIn() {
  const queries = useQueryClient();
  const { history } = useRouter();
  const search = useSearch({ strict: false });
  return useMutation({
    mutationFn: (credentials: { readonly username: string; readonly password: string }) => central.createSession(credentials),
    onSuccess: () => {
      queries.clear();
      history.push(returnTo(search));
    },
  });
}
