/** PatternFly's dark theme is a class on the document; keeps it as the system has it. */
export function followSystemTheme(dark: MediaQueryList, document: HTMLElement): void {
  const apply = (): void => {
    document.classList.toggle("pf-v6-theme-dark", dark.matches);
  };
  dark.addEventListener("change", apply);
  apply();
}
