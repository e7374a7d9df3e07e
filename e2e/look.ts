/**
 * Takes pictures of every page, wide and narrow, light and dark, for a person to look at:
 * node e2e/look.ts https://127.0.0.1:8443 PASSWORD DIRECTORY
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { axeViolations, openBrowser } from "./browser.ts";

const [baseUrl, password, directory] = process.argv.slice(2);
if (baseUrl === undefined || password === undefined || directory === undefined) {
  console.error("usage: node e2e/look.ts URL PASSWORD DIRECTORY");
  process.exit(2);
}

const VIRTUAL_MACHINES = "/vulnerability-management/results/virtual-machines";
const WIDTHS = [1440, 800] as const;
/** Room for whole pages: they scroll inside the window. */
const HEIGHT = 1600;
const THEMES = ["light", "dark"] as const;

mkdirSync(directory, { recursive: true });
const browser = await openBrowser();
try {
  for (const width of WIDTHS)
    for (const colorScheme of THEMES) {
      const context = await browser.newContext({ viewport: { width, height: HEIGHT }, colorScheme, ignoreHTTPSErrors: true });
      await lookAround(await context.newPage(), baseUrl, password, (name) => join(directory, `${name}-${width}-${colorScheme}.png`));
      await context.close();
    }
} finally {
  await browser.close();
}

async function lookAround(page: Page, baseUrl: string, password: string, fileOf: (name: string) => string): Promise<void> {
  const take = async (name: string): Promise<void> => {
    await page.waitForLoadState("networkidle");
    await page.screenshot({ path: fileOf(name), fullPage: true });
    for (const violation of await axeViolations(page)) console.error(`${fileOf(name)}: ${violation}`);
  };
  await page.goto(`${baseUrl}${VIRTUAL_MACHINES}`);
  await page.getByRole("textbox", { name: "Password" }).fill("not this one");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").waitFor();
  await take("login");
  await page.getByRole("textbox", { name: "Password" }).fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  const table = page.getByRole("grid", { name: "Virtual machines" });
  await table.getByRole("link").first().waitFor();
  await take("overview");
  const links = await table
    .getByRole("link")
    .evaluateAll((links) => links.map((link) => [link.textContent, link.getAttribute("href")] as const));
  for (const [name, href] of links) {
    await page.goto(`${baseUrl}${href}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    const expand = page.getByRole("button", { name: /^CVE.* Details$/ }).first();
    await page.waitForLoadState("networkidle");
    if (await expand.isVisible()) {
      await expand.click();
      await page.getByRole("grid", { name: /^Components affected by/ }).waitFor();
    }
    await take(`vm-${name}`);
  }
  for (const tab of ["Packages", "Details"]) {
    await page.goto(`${baseUrl}${links[0]?.[1]}?tab=${tab.toLowerCase()}`);
    await page.getByRole("tabpanel", { name: tab }).waitFor();
    await take(tab.toLowerCase());
  }
  await page.goto(`${baseUrl}${VIRTUAL_MACHINES}?Namespace=no-such-namespace`);
  await page.getByText("No results found").waitFor();
  await take("filtered-empty");
  await page.goto(`${baseUrl}${VIRTUAL_MACHINES}/no-such-machine`);
  await page.getByText("Virtual machine not found").waitFor();
  await take("vm-not-found");
  await page.goto(`${baseUrl}/no-such-page`);
  await page.getByText("Page not found").waitFor();
  await take("not-found");
}
