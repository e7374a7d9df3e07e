import { ApiError, type VMDetail, type VMState } from "@guestscan/proto/gen/client";
import {
  Breadcrumb,
  BreadcrumbItem,
  Content,
  Label,
  LabelGroup,
  PageSection,
  Skeleton,
  Tab,
  Tabs,
  TabTitleText,
  Title,
} from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { formatMinute } from "../domain/format.ts";
import { ScanStateAlert } from "../domain/scan-state.tsx";
import { central } from "../queries.ts";
import { LoadError } from "../shell/LoadError.tsx";
import { NotFoundPage } from "../shell/NotFoundPage.tsx";
import { usePageTitle } from "../shell/use-page-title.ts";
import type { UrlSearch } from "../url-search.ts";
import { DetailsTab } from "./DetailsTab.tsx";
import { PackagesTab } from "./PackagesTab.tsx";
import { VulnerabilitiesTab } from "./VulnerabilitiesTab.tsx";

const TABS = [
  { name: "vulnerabilities", title: "Vulnerabilities", Content: VulnerabilitiesTab },
  { name: "packages", title: "Packages", Content: PackagesTab },
  { name: "details", title: "Details", Content: DetailsTab },
] as const;

/** One virtual machine. */
export function VmPage() {
  const { vmId = "" } = useParams({ strict: false });
  const {
    data: vm,
    error,
    refetch,
  } = useQuery({ queryKey: ["vm", vmId], queryFn: ({ signal }) => central.getVMDetail({ id: vmId }, signal) });
  if (error instanceof ApiError && error.status === 404) return <NotFoundPage title="Virtual machine not found" detail={error.message} />;
  if (error !== null)
    return (
      <PageSection isFilled>
        <LoadError title="Unable to fetch virtual machine data" error={error} retry={() => void refetch()} />
      </PageSection>
    );
  return (
    <>
      <PageSection type="breadcrumb">
        <Breadcrumb>
          <BreadcrumbItem>
            <Link to="/vulnerability-management/results/virtual-machines">Virtual Machines</Link>
          </BreadcrumbItem>
          <BreadcrumbItem isActive>{vm?.name ?? ""}</BreadcrumbItem>
        </Breadcrumb>
      </PageSection>
      {vm === undefined ? <LoadingHeader /> : <LoadedVm vm={vm} />}
    </>
  );
}

function LoadingHeader() {
  return (
    <PageSection isFilled>
      <Skeleton fontSize="2xl" width="30%" screenreaderText="Loading the virtual machine" />
    </PageSection>
  );
}

function LoadedVm({ vm }: { readonly vm: VMDetail }) {
  usePageTitle(vm.name);
  const search: UrlSearch = useSearch({ strict: false });
  const navigate = useNavigate();
  const active = TABS.find(({ name }) => name === search["tab"]?.[0]) ?? TABS[0];
  return (
    <>
      <PageSection>
        <Title headingLevel="h1">{vm.name}</Title>
        <Content component="p">
          In: {vm.clusterName}/{vm.namespace}
        </Content>
        <LabelGroup aria-label="Facts" numLabels={4}>
          <Label>{STATE_NAMES[vm.state]}</Label>
          <Label>Guest OS: {vm.guestOs === "" ? "Unknown" : vm.guestOs}</Label>
          <Label>Scan time: {scanTime(vm)}</Label>
        </LabelGroup>
        <ScanStateAlert scan={vm.scanState} />
      </PageSection>
      <PageSection type="tabs">
        <Tabs
          activeKey={active.name}
          usePageInsets
          aria-label="Parts of this virtual machine"
          onSelect={(_, name) => void navigate({ to: ".", search: { tab: [String(name)] } })}
        >
          {TABS.map(({ name, title }) => (
            <Tab key={name} eventKey={name} title={<TabTitleText>{title}</TabTitleText>} tabContentId={CONTENT_ID} />
          ))}
        </Tabs>
      </PageSection>
      <PageSection isFilled id={CONTENT_ID} role="tabpanel" aria-label={active.title}>
        <active.Content key={active.name} vm={vm} />
      </PageSection>
    </>
  );
}

const CONTENT_ID = "tab-content";

const STATE_NAMES: Readonly<Record<VMState, string>> = {
  VM_STATE_UNKNOWN: "State unknown",
  VM_STATE_STOPPED: "Stopped",
  VM_STATE_RUNNING: "Running",
};

function scanTime({ latestScan }: VMDetail): string {
  const time = latestScan?.scanTime ?? null;
  return time === null ? "Never" : formatMinute(time);
}
