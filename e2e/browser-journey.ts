import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Locator, Page } from "playwright-core";
import { axeViolations } from "./browser.ts";

interface Guest {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
}

const GUESTS = JSON.parse(readFileSync(join(import.meta.dirname, "../deploy/demo/guests.json"), "utf8")) as readonly Guest[];
const VIRTUAL_MACHINES = "/vulnerability-management/results/virtual-machines";

/** How the overview describes where each demo guest stands. */
const SCAN_STATES: Readonly<Record<string, string>> = {
  archive: "Unsupported OS",
  "ci-runner": "Agent has not reported",
  intranet: "Unsupported OS",
  kiosk: "Partly scanned",
  "ledger-01": "OK",
};

/** What the page of a guest says in the place of CVEs. */
const EMPTY_STATES: Readonly<Record<string, string>> = {
  archive: "The operating system is not supported",
  "ci-runner": "The agent has never reported",
  kiosk: "None of the packages could be judged",
};

/**
 * What a person does with the page of a Central that has the demo guests, by the roles and names of what is on it; axe looks at every page.
 * Needs nobody to be logged in, and leaves nobody logged in. Rejects at the first thing that is not as it should be.
 */
export async function runJourney(page: Page, baseUrl: string, password: string): Promise<void> {
  await logInWhereOneWantedToGo(page, baseUrl, password);
  await filterAndSortVirtualMachines(page);
  await readScanStates(page);
  await findFixOfCve(page);
  await narrowBySeverity(page);
  await readPackagesAndDetails(page);
  await readEmptyStates(page, baseUrl);
  await followTheSystemsTheme(page);
  await getLost(page, baseUrl);
  await logOut(page, baseUrl);
}

async function logInWhereOneWantedToGo(page: Page, baseUrl: string, password: string): Promise<void> {
  await page.goto(`${baseUrl}${VIRTUAL_MACHINES}?Namespace=payments`);
  await enterPassword(page, `not ${password}`);
  assert.equal(await page.getByRole("alert").textContent(), "wrong name or password");
  await expectAccessible(page);
  await enterPassword(page, password);
  await page.getByRole("heading", { level: 1, name: "Virtual machine vulnerabilities" }).waitFor();
  await expectNames(
    page,
    namesOf((guest) => guest.namespace === "payments"),
  );
  await page.getByRole("button", { name: "Close payments" }).waitFor();
}

async function enterPassword(page: Page, password: string): Promise<void> {
  await page.getByRole("textbox", { name: "Username" }).fill("admin");
  await page.getByRole("textbox", { name: "Password" }).fill(password);
  const answered = page.waitForResponse((response) => response.url().endsWith("/v2/sessions"));
  await page.getByRole("button", { name: "Log in" }).click();
  await answered;
}

async function filterAndSortVirtualMachines(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Clear filters" }).click();
  await expectNames(
    page,
    namesOf(() => true),
  );
  await page.getByRole("status").getByText(`${GUESTS.length} virtual machines`, { exact: true }).waitFor();
  await expectAccessible(page);
  await page.getByRole("button", { name: "Virtual machine", exact: true }).click();
  await expectNames(page, namesOf(() => true).toReversed());
  await page.getByRole("searchbox", { name: "Virtual machine name" }).fill("EB-0");
  await page.keyboard.press("Enter");
  await expectNames(page, namesOf(({ name }) => name.includes("eb-0")).toReversed());
  await page.getByRole("searchbox", { name: "Virtual machine name" }).fill("no+such,machine");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Close EB-0" }).click();
  await page.getByRole("heading", { name: "No results found" }).waitFor();
  await expectAccessible(page);
  await page.goBack();
  await expectNames(page, namesOf(({ name }) => name.includes("eb-0")).toReversed());
  await page.getByRole("button", { name: "Clear filters" }).click();
  await expectNames(page, namesOf(() => true).toReversed());
}

async function readScanStates(page: Page): Promise<void> {
  for (const [name, state] of Object.entries(SCAN_STATES)) await rowOf(page, name).getByText(state).waitFor();
  assert.equal(await cell(rowOf(page, "ci-runner"), "Scanned packages"), "Not available");
  assert.equal(await cell(rowOf(page, "ci-runner"), "CVEs by severity"), "Not available");
  assert.match(await cell(rowOf(page, "ledger-01"), "Scanned packages"), /^(\d+)\/\1 scanned packages$/);
  assert.equal(await rowOf(page, "ledger-01").getByRole("listitem").count(), 5);
}

/** RHSA-2023:4412, CVE-2023-38408: openssh of RHEL 9.2 is fixed in 8.7p1-30.el9_2. */
async function findFixOfCve(page: Page): Promise<void> {
  await page.getByRole("link", { name: "web-01" }).click();
  await page.getByRole("heading", { level: 1, name: "web-01" }).waitFor();
  await page.getByText("In: demo/shop").waitFor();
  await page.getByRole("searchbox", { name: "CVE" }).fill("2023-38408");
  await page.keyboard.press("Enter");
  await page.getByRole("status").getByText("1 CVE (filtered view)").waitFor();
  const row = page.getByRole("grid", { name: "CVEs" }).getByRole("row", { name: "CVE-2023-38408" });
  assert.equal(await cell(row, "Severity"), "Important");
  assert.equal(await cell(row, "CVE status"), "Fixable");
  assert.equal(await cell(row, "EPSS probability"), "Not available");
  await page.getByRole("button", { name: "CVE-2023-38408 Details" }).click();
  const component = page
    .getByRole("grid", { name: "Components affected by CVE-2023-38408" })
    .getByRole("row")
    .filter({ has: page.getByRole("gridcell", { name: "openssh", exact: true }) });
  assert.equal(await cell(component, "CVE fixed in"), "8.7p1-30.el9_2");
  assert.equal(await cell(component, "Advisory"), "RHSA-2023:4412");
  assert.match(await cell(component, "Why"), /cve-2023-38408\.json.*openssh is fixed in 8\.7p1-30\.el9_2, and \S+ is older/);
  await expectAccessible(page);
  await page.reload();
  assert.equal(await cell(component, "CVE fixed in"), "8.7p1-30.el9_2");
  await page.getByRole("button", { name: "Clear filters" }).click();
}

async function narrowBySeverity(page: Page): Promise<void> {
  const cards = page.getByRole("region", { name: "CVEs by severity" });
  const button = cards.getByRole("button", { name: /^[1-9]\d* Low$/ });
  const count = Number.parseInt((await button.textContent()) ?? "", 10);
  await button.click();
  await page.getByRole("status").getByText(`${count} CVEs (filtered view)`).waitFor();
  const severities = page.getByRole("grid", { name: "CVEs" }).locator('[data-label="Severity"]:not(th)');
  await severities.first().getByText("Low").waitFor();
  assert.deepStrictEqual(new Set(await severities.allTextContents()), new Set([" Low"]));
  await page.getByRole("button", { name: "Go to next page" }).click();
  await page.getByRole("button", { name: "Go to previous page" }).and(page.locator(":enabled")).waitFor();
  assert.match(page.url(), /Severity=LOW_VULNERABILITY_SEVERITY.*page=2/);
}

async function readPackagesAndDetails(page: Page): Promise<void> {
  await page.getByRole("tab", { name: "Packages" }).click();
  await page.getByRole("searchbox", { name: "Name" }).fill("openssh");
  await page.keyboard.press("Enter");
  const openssh = page
    .getByRole("grid", { name: "Packages" })
    .getByRole("row")
    .filter({ has: page.getByRole("gridcell", { name: "openssh", exact: true }) });
  assert.equal(await cell(openssh, "Status"), "Scanned");
  assert.equal(await cell(openssh, "Repository"), "rhel-9-for-x86_64-baseos-rpmsfrom dnf history");
  await expectAccessible(page);
  await page.getByRole("tab", { name: "Details" }).click();
  await page
    .getByRole("definition")
    .getByText(GUESTS.find(({ name }) => name === "web-01")?.id ?? "")
    .waitFor();
  await expectAccessible(page);
}

async function readEmptyStates(page: Page, baseUrl: string): Promise<void> {
  for (const [name, title] of Object.entries(EMPTY_STATES)) {
    await page.goto(`${baseUrl}${VIRTUAL_MACHINES}/${GUESTS.find((guest) => guest.name === name)?.id}`);
    await page.getByRole("heading", { name: title }).waitFor();
    await page.getByRole("heading", { name: `Scan state: ${SCAN_STATES[name]}` }).waitFor();
    await page.getByText(/^What to do: /).waitFor();
    await expectAccessible(page);
  }
}

async function followTheSystemsTheme(page: Page): Promise<void> {
  for (const colorScheme of ["dark", "light"] as const) {
    await page.emulateMedia({ colorScheme });
    await page.locator(colorScheme === "dark" ? "html.pf-v6-theme-dark" : "html:not(.pf-v6-theme-dark)").waitFor();
    await expectAccessible(page);
  }
  await page.getByText(/^Vulnerability data of \d+ \w+ \d{4}, [\d,]+ documents; not part of it: EPSS/).waitFor();
}

async function getLost(page: Page, baseUrl: string): Promise<void> {
  await page.goto(`${baseUrl}${VIRTUAL_MACHINES}/no-such-machine`);
  await page.getByRole("heading", { name: "Virtual machine not found" }).waitFor();
  await page.goto(`${baseUrl}/no-such-page`);
  await page.getByRole("heading", { name: "Page not found" }).waitFor();
  await page.getByRole("link", { name: "Go to the virtual machines" }).click();
  await expectNames(
    page,
    namesOf(() => true),
  );
}

/** The session is over on both sides: nothing is shown that the page still knew, and coming back asks for the password. */
async function logOut(page: Page, baseUrl: string): Promise<void> {
  await page.getByRole("button", { name: "User menu of admin" }).click();
  await page.getByRole("menuitem", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Log in to Guestscan" }).waitFor();
  assert.equal((await page.request.get(`${baseUrl}/v2/virtualmachines/vms`)).status(), 401);
  await page.goto(`${baseUrl}${VIRTUAL_MACHINES}`);
  await page.getByRole("heading", { name: "Log in to Guestscan" }).waitFor();
}

function namesOf(isWanted: (guest: Guest) => boolean): readonly string[] {
  return GUESTS.filter(isWanted)
    .map(({ name }) => name)
    .toSorted();
}

/** Waits until the overview has these virtual machines in this order; rejects with what it has instead. */
async function expectNames(page: Page, names: readonly string[]): Promise<void> {
  const links = page.getByRole("grid", { name: "Virtual machines" }).getByRole("link");
  try {
    for (const [at, name] of names.entries())
      await links
        .nth(at)
        .and(page.getByRole("link", { name, exact: true }))
        .waitFor();
    await links.nth(names.length).waitFor({ state: "detached" });
  } catch (cause) {
    assert.deepStrictEqual(await links.allTextContents(), names);
    throw cause;
  }
}

function rowOf(page: Page, name: string): Locator {
  return page
    .getByRole("grid", { name: "Virtual machines" })
    .getByRole("row")
    .filter({ has: page.getByRole("link", { name, exact: true }) });
}

async function cell(row: Locator, column: string): Promise<string> {
  return ((await row.locator(`[data-label="${column}"]`).textContent()) ?? "").trim();
}

async function expectAccessible(page: Page): Promise<void> {
  assert.deepStrictEqual(await axeViolations(page), [], page.url());
}
