import {
  Button,
  MenuToggle,
  Pagination,
  Select,
  SelectList,
  SelectOption,
  TextInputGroup,
  TextInputGroupMain,
  TextInputGroupUtilities,
  Toolbar,
  ToolbarContent,
  ToolbarFilter,
  ToolbarGroup,
  ToolbarItem,
} from "@patternfly/react-core";
import { ArrowRightIcon } from "@patternfly/react-icons/dist/esm/icons/arrow-right-icon";
import { type FormEvent, useState } from "react";
import type { FilterAttribute } from "./search-text.ts";
import { type ListState, PAGE_SIZES } from "./use-list-state.ts";

interface FilterBarProps {
  readonly attributes: readonly FilterAttribute[];
  readonly list: ListState;
  /** Rows over all pages; undefined while they are being counted. */
  readonly totalCount: number | undefined;
  /** "8 virtual machines" */
  readonly summary: string;
}

/** What a list is filtered by, how much it then holds, and the way through its pages. */
export function FilterBar({ attributes, list, totalCount, summary }: FilterBarProps) {
  const [field, setField] = useState(attributes[0]?.field);
  const active = attributes.find((attribute) => attribute.field === field);
  return (
    <Toolbar
      {...(list.isFiltered ? { clearAllFilters: list.clearFilters } : {})}
      clearFiltersButtonText="Clear filters"
      collapseListedFiltersBreakpoint="md"
    >
      <ToolbarContent>
        <ToolbarGroup variant="filter-group">
          <ToolbarItem>
            <AttributeSelect attributes={attributes} selected={active} select={setField} />
          </ToolbarItem>
          {attributes.map((attribute) => (
            <AttributeFilter key={attribute.field} attribute={attribute} list={list} isShown={attribute === active} />
          ))}
        </ToolbarGroup>
        <ToolbarItem alignSelf="center">
          <span role="status">
            {summary}
            {list.isFiltered && " (filtered view)"}
          </span>
        </ToolbarItem>
        <ToolbarItem variant="pagination" align={{ default: "alignEnd" }}>
          <Pagination
            isCompact
            itemCount={totalCount ?? 0}
            isDisabled={totalCount === undefined}
            page={list.page}
            perPage={list.perPage}
            perPageOptions={PAGE_SIZES.map((value) => ({ title: String(value), value }))}
            onSetPage={(_, page) => list.setPage(page)}
            onPerPageSelect={(_, perPage) => list.setPerPage(perPage)}
          />
        </ToolbarItem>
      </ToolbarContent>
    </Toolbar>
  );
}

interface AttributeSelectProps {
  readonly attributes: readonly FilterAttribute[];
  readonly selected: FilterAttribute | undefined;
  readonly select: (field: string) => void;
}

function AttributeSelect({ attributes, selected, select }: AttributeSelectProps) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <Select
      isOpen={isOpen}
      onOpenChange={setIsOpen}
      selected={selected?.field}
      onSelect={(_, value) => {
        select(String(value));
        setIsOpen(false);
      }}
      toggle={(ref) => (
        <MenuToggle ref={ref} isExpanded={isOpen} aria-label={`Filter by: ${selected?.label ?? ""}`} onClick={() => setIsOpen(!isOpen)}>
          {selected?.label}
        </MenuToggle>
      )}
    >
      <SelectList aria-label="Filter by">
        {attributes.map(({ field, label }) => (
          <SelectOption key={field} value={field}>
            {label}
          </SelectOption>
        ))}
      </SelectList>
    </Select>
  );
}

interface AttributeFilterProps {
  readonly attribute: FilterAttribute;
  readonly list: ListState;
  readonly isShown: boolean;
}

function AttributeFilter({ attribute, list, isShown }: AttributeFilterProps) {
  const { field, label } = attribute;
  const values = list.filters[field] ?? [];
  const setValues = (values: readonly string[]): void => list.setFilters({ ...list.filters, [field]: values });
  const toggle = (value: string): void =>
    setValues(values.includes(value) ? values.filter((other) => other !== value) : [...values, value]);
  const nameOf = (value: string): string =>
    attribute.kind === "choice" ? (attribute.choices.find((choice) => choice.value === value)?.label ?? value) : value;
  return (
    <ToolbarFilter
      categoryName={label}
      showToolbarItem={isShown}
      labels={values.map((value) => ({ key: value, node: nameOf(value) }))}
      deleteLabel={(_, chip) => toggle(typeof chip === "string" ? chip : chip.key)}
      deleteLabelGroup={() => setValues([])}
    >
      {attribute.kind === "text" ? (
        <TextFilter label={label} add={(value) => values.includes(value) || setValues([...values, value])} />
      ) : (
        <ChoiceFilter label={label} choices={attribute.choices} values={values} toggle={toggle} />
      )}
    </ToolbarFilter>
  );
}

function TextFilter({ label, add }: { readonly label: string; readonly add: (value: string) => void }) {
  const [text, setText] = useState("");
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (text.trim() === "") return;
    add(text.trim());
    setText("");
  };
  return (
    <form onSubmit={submit} role="search" aria-label={`Filter by ${label}`}>
      <TextInputGroup>
        <TextInputGroupMain
          type="search"
          value={text}
          aria-label={label}
          placeholder={`Filter by ${label}`}
          onChange={(_, value) => setText(value)}
        />
        <TextInputGroupUtilities>
          <Button type="submit" variant="plain" aria-label={`Add filter ${label}`} icon={<ArrowRightIcon />} />
        </TextInputGroupUtilities>
      </TextInputGroup>
    </form>
  );
}

interface ChoiceFilterProps {
  readonly label: string;
  readonly choices: readonly { readonly value: string; readonly label: string }[];
  readonly values: readonly string[];
  readonly toggle: (value: string) => void;
}

function ChoiceFilter({ label, choices, values, toggle }: ChoiceFilterProps) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <Select
      role="menu"
      isOpen={isOpen}
      onOpenChange={setIsOpen}
      selected={values}
      onSelect={(_, value) => toggle(String(value))}
      toggle={(ref) => (
        <MenuToggle ref={ref} isExpanded={isOpen} aria-label={`Filter by ${label}`} onClick={() => setIsOpen(!isOpen)}>
          Filter by {label}
        </MenuToggle>
      )}
    >
      <SelectList aria-label={label}>
        {choices.map((choice) => (
          <SelectOption key={choice.value} value={choice.value} hasCheckbox isSelected={values.includes(choice.value)}>
            {choice.label}
          </SelectOption>
        ))}
      </SelectList>
    </Select>
  );
}
