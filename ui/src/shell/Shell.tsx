import {
  Masthead,
  MastheadBrand,
  MastheadContent,
  MastheadLogo,
  MastheadMain,
  MastheadToggle,
  Nav,
  NavExpandable,
  NavItem,
  NavList,
  Page,
  PageSidebar,
  PageSidebarBody,
  PageToggleButton,
  SkipToContent,
  Toolbar,
  ToolbarContent,
  ToolbarItem,
} from "@patternfly/react-core";
import { Link, Outlet, useLocation } from "@tanstack/react-router";
import { FeedStatus } from "./FeedStatus.tsx";
import iconUrl from "./icon.svg";
import { UserMenu } from "./UserMenu.tsx";

const MAIN = "main-content";
const VIRTUAL_MACHINES = "/vulnerability-management/results/virtual-machines";

/** What every page behind the login stands in. */
export function Shell() {
  return (
    <Page
      isManagedSidebar
      isContentFilled
      mainContainerId={MAIN}
      masthead={<Top />}
      sidebar={<Side />}
      skipToContent={<SkipToContent href={`#${MAIN}`}>Skip to content</SkipToContent>}
    >
      <Outlet />
      <FeedStatus />
    </Page>
  );
}

function Top() {
  return (
    <Masthead>
      <MastheadMain>
        <MastheadToggle>
          <PageToggleButton isHamburgerButton aria-label="Global navigation" />
        </MastheadToggle>
        <MastheadBrand>
          <MastheadLogo component={(props: Readonly<Record<string, unknown>>) => <Link {...props} to={VIRTUAL_MACHINES} />}>
            <img className="gs-brand-icon" src={iconUrl} alt="" />
            <span className="gs-brand">Guestscan</span>
          </MastheadLogo>
        </MastheadBrand>
      </MastheadMain>
      <MastheadContent>
        <Toolbar isStatic>
          <ToolbarContent>
            <ToolbarItem align={{ default: "alignEnd" }}>
              <UserMenu />
            </ToolbarItem>
          </ToolbarContent>
        </Toolbar>
      </MastheadContent>
    </Masthead>
  );
}

function Side() {
  const isHere = useLocation({ select: ({ pathname }) => pathname.startsWith(VIRTUAL_MACHINES) });
  return (
    <PageSidebar>
      <PageSidebarBody>
        <Nav aria-label="Global">
          <NavList>
            <NavExpandable title="Vulnerability Management" isExpanded isActive={isHere}>
              <NavExpandable title="Results" isExpanded isActive={isHere}>
                <NavItem isActive={isHere}>
                  <Link to={VIRTUAL_MACHINES}>Virtual Machines</Link>
                </NavItem>
              </NavExpandable>
            </NavExpandable>
          </NavList>
        </Nav>
      </PageSidebarBody>
    </PageSidebar>
  );
}
