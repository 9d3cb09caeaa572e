// Long tables: filtered, sorted and paged. Text of the run only ever becomes text of the page.
"use strict";
(() => {
  const ROWS = 10;
  const LONG = 40;
  const ANSWER = new Set(["target", "picked", "correct", "probability", "completion", "verdict"]);
  const words = new Intl.Collator("en", { numeric: true });
  const sources = new Map();

  const element = (tag, properties = {}, ...children) => {
    const { attributes = {}, ...rest } = properties;
    const made = Object.assign(document.createElement(tag), rest);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };

  const data = (id) => {
    if (!sources.has(id)) sources.set(id, JSON.parse(document.getElementById(id).textContent));
    return sources.get(id);
  };

  const shown = (value) => {
    if (value === null) return "–";
    if (typeof value !== "number") return value;
    const text = Number.isInteger(value) ? value : Number(value.toPrecision(4));
    return String(text).replace("-", "−");
  };

  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : words.compare(String(a), String(b));

  class Table {
    constructor(box) {
      this.view = JSON.parse(box.querySelector("script").textContent);
      this.source = data(this.view.source);
      this.columns = this.view.columns;
      this.long = new Map();
      this.state = { part: 0, query: "", column: null, descending: false, page: 0 };
      this.build(box);
      this.examples();
      this.update();
    }

    build(box) {
      const { title, parts, id } = this.view;
      this.query = element("input", { type: "search", id: `${id}-filter`, autocomplete: "off" });
      this.query.addEventListener("input", () => this.go({ query: this.query.value, page: 0 }));
      const controls = [element("label", { htmlFor: this.query.id }, "Filter rows"), this.query];
      if (parts.length > 1) {
        const options = parts.map((part, place) => element("option", { value: place }, part.label));
        this.part = element("select", { id: `${id}-part` }, ...options);
        this.part.addEventListener("change", () => this.go({ part: +this.part.value, page: 0 }));
        controls.unshift(element("label", { htmlFor: this.part.id }, "Rows of"), this.part);
      }
      if (this.view.worst) {
        this.first = element("button", { type: "button" }, "Worst first");
        this.first.addEventListener("click", () => this.go({ column: null, page: 0 }));
        controls.push(this.first);
      }
      this.heads = this.columns.map((column) => this.head(column));
      this.body = element("tbody");
      this.count = element("p", { className: "count", attributes: { role: "status" } });
      this.back = this.turner("Previous", -1);
      this.next = this.turner("Next", 1);
      const heading = element("thead", {}, element("tr", {}, ...this.heads));
      const caption = element("caption", { className: "hidden" }, title);
      const named = { role: "group", "aria-label": title || "Rows" };
      const scroll = { tabIndex: 0, className: "scroll", attributes: named };
      this.cases = element("div", { className: "cases" });
      this.rule = box.parentElement.querySelector(".rule .rows");
      const live = element(
        "div",
        { className: "live" },
        element("div", { className: "controls" }, ...controls),
        this.cases,
        element("div", scroll, element("table", {}, caption, heading, this.body)),
        element("div", { className: "pager" }, this.back, this.next, this.count),
      );
      box.append(live);
      box.classList.add("alive");
    }

    head(column) {
      const { name, kind } = this.source.columns[column];
      const button = element("button", { type: "button" }, name);
      const { rows } = this.source;
      this.long.set(column, rows.some((row) => String(row[column]).length > LONG));
      button.addEventListener("click", () => {
        const again = this.state.column === column;
        this.go({ column, descending: again ? !this.state.descending : kind === "number", page: 0 });
      });
      return element("th", { scope: "col", className: kind === "number" ? "n" : "" }, button);
    }

    turner(text, step) {
      const button = element("button", { type: "button" }, text);
      button.addEventListener("click", () => {
        const page = this.state.page + step;
        if (page >= 0 && page * ROWS < this.rows().length) this.go({ page });
      });
      return button;
    }

    go(change) {
      Object.assign(this.state, change);
      if (this.part) this.part.value = this.state.part;
      if ("part" in change) this.examples();
      this.update();
    }

    // An item as it was asked: the worst one, and one from the middle.
    examples() {
      const { rows, rule } = this.view.parts[this.state.part];
      this.rule.textContent = rule;
      const prompt = this.columns.find((place) => this.source.columns[place].name === "prompt");
      if (prompt === undefined || !this.view.worst || rows.length < 3) return;
      const middle = Math.floor(rows.length / 2);
      const picked = { "The worst case": rows[0], "A case from the middle": rows[middle] };
      const made = Object.entries(picked).map(([word, row]) => this.example(word, row, prompt));
      this.cases.replaceChildren(...made);
    }

    example(word, row, prompt) {
      const values = this.source.rows[row];
      const facts = this.columns
        .filter((place) => place !== prompt && ANSWER.has(this.source.columns[place].name))
        .map((place) => `${this.source.columns[place].name} ${shown(values[place])}`);
      return element(
        "figure",
        {},
        element("figcaption", {}, word),
        element("blockquote", { dir: "auto" }, shown(values[prompt])),
        element("p", { dir: "auto" }, facts.join(" · ")),
      );
    }

    // The rows that pass the filter, in the order asked for; the worst first if none was.
    rows() {
      const { part, query, column, descending } = this.state;
      const wanted = query.trim().toLowerCase();
      const { rows } = this.source;
      const holds = (row) =>
        this.columns.some((place) => String(shown(rows[row][place])).toLowerCase().includes(wanted));
      const kept = wanted ? this.view.parts[part].rows.filter(holds) : this.view.parts[part].rows;
      if (column === null) return kept;
      const sign = descending ? -1 : 1;
      return [...kept].sort((a, b) => {
        const [left, right] = [rows[a][column], rows[b][column]];
        if (left === null || right === null) return (left === null) - (right === null);
        return sign * compare(left, right);
      });
    }

    update() {
      const { part, column, descending, page } = this.state;
      const kept = this.rows();
      const all = this.view.parts[part].rows.length;
      const start = page * ROWS;
      const visible = kept.slice(start, start + ROWS);
      this.body.replaceChildren(...visible.map((row) => this.row(row)));
      this.columns.forEach((place, at) => {
        if (place !== column) this.heads[at].removeAttribute("aria-sort");
        else this.heads[at].setAttribute("aria-sort", descending ? "descending" : "ascending");
      });
      const found = kept.length === all ? `${all} rows` : `${kept.length} of ${all} rows`;
      const range = kept.length > ROWS ? `${start + 1}–${start + visible.length} of ` : "";
      this.count.textContent = kept.length ? `${range}${found}` : `No row of ${all} holds this.`;
      this.back.setAttribute("aria-disabled", page === 0);
      this.next.setAttribute("aria-disabled", start + ROWS >= kept.length);
      if (this.first) this.first.setAttribute("aria-pressed", column === null);
    }

    row(row) {
      const values = this.source.rows[row];
      const cells = this.columns.map((place) => {
        const numeric = this.source.columns[place].kind === "number";
        const text = { dir: "auto", className: this.long.get(place) ? "long" : "" };
        const properties = numeric ? { className: "n" } : text;
        return element("td", properties, shown(values[place]));
      });
      return element("tr", {}, ...cells);
    }

    // Turn to the rows of one finding: of those that show it, the ones that show least else.
    turn(finding) {
      const own = this.view.parts.filter((part) => part.findings.includes(finding));
      own.sort((a, b) => a.findings.length - b.findings.length);
      if (own.length) this.go({ part: this.view.parts.indexOf(own[0]), page: 0 });
    }
  }

  const boxes = [...document.querySelectorAll(".table")];
  const tables = new Map();
  const made = (box) => {
    if (!tables.has(box)) tables.set(box, new Table(box));
    return tables.get(box);
  };
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        watcher.unobserve(entry.target);
        made(entry.target);
      }
    },
    { rootMargin: "400px" },
  );
  for (const box of boxes) watcher.observe(box);

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-finding]");
    const part = link && document.getElementById(link.hash.slice(1));
    if (!part) return;
    const home = part.closest(".evidence");
    for (const box of home.querySelectorAll(".table")) made(box).turn(+link.dataset.finding);
  });
})();
