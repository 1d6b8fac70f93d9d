/** A list box of which only the rows in sight are elements. */
import { el, replaceChildren } from "./dom.js";

/** Rows kept beyond what is in sight, at either end. */
const SPARE = 6;
/** Rows taken to be in sight before the list was measured. */
const FIRST_ROWS = 12;
let lists = 0;

/** Rows of one height; the keyboard moves the choice. */
export class VirtualList {
  #options;
  #canvas = el("div", { class: "rows", attrs: { role: "presentation" } });
  #prefix;
  /** Elements by the row's position. @type {Map<number, HTMLElement>} */
  #rows = new Map();
  #items = [];
  #chosen = null;
  #drawing = 0;
  // Kept here, for reading them from the element would lay the page out once more.
  #top = 0;
  #height;

  /**
   * @param {{class: string, rowHeight: number, label: string, render: function(object): Node[],
   *   id: function(object): string, onChoose: function(object): void}} options - `rowHeight` in CSS pixels
   */
  constructor(options) {
    lists += 1;
    this.#prefix = `list-${lists}-`;
    this.#options = options;
    this.#height = options.rowHeight * FIRST_ROWS;
    const attrs = { role: "listbox", tabindex: "0", "aria-label": options.label };
    this.element = el("div", { class: options.class, attrs }, this.#canvas);
    this.#listen();
  }

  /**
   * Show other rows.
   * @param {object[]} items
   * @param {string|null} chosen - id of the chosen one
   */
  show(items, chosen) {
    this.#items = items;
    this.#chosen = chosen;
    this.refresh();
    this.#reveal(this.#mark());
    this.#drawSoon();
  }

  /** @param {string|null} chosen - id of the row that is now the chosen one */
  select(chosen) {
    this.#chosen = chosen;
    this.#reveal(this.#mark());
    this.#drawSoon();
  }

  /** Draw all rows again. */
  refresh() {
    const length = this.#items.length * this.#options.rowHeight;
    this.#rows.clear();
    replaceChildren(this.#canvas);
    this.#canvas.style.setProperty("height", `${length}px`);
    this.#top = Math.max(0, Math.min(this.#top, length - this.#height));
    this.#draw();
  }

  #listen() {
    const onScroll = () => {
      this.#top = this.element.scrollTop;
      this.#drawSoon();
    };
    this.element.addEventListener("scroll", onScroll, { passive: true });
    this.element.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (row !== null) this.#options.onChoose(this.#items[Number(row.dataset.index)]);
    });
    this.element.addEventListener("keydown", (event) => this.#onKey(event));
    new ResizeObserver(([entry]) => {
      this.#height = entry.contentRect.height || this.#height;
      this.#reveal(this.#mark());
      this.#drawSoon();
    }).observe(this.element);
  }

  #onKey(event) {
    const count = this.#items.length;
    if (event.ctrlKey || event.metaKey || event.altKey || count === 0) return;
    const index = this.#chosenIndex();
    const page = Math.max(1, Math.floor(this.#height / this.#options.rowHeight) - 1);
    const moves = {
      ArrowUp: index - 1,
      ArrowDown: index + 1,
      PageUp: index - page,
      PageDown: index + page,
      Home: 0,
      End: count - 1,
    };
    if (!Object.hasOwn(moves, event.key)) return;
    event.preventDefault();
    this.#options.onChoose(this.#items[Math.min(Math.max(moves[event.key], 0), count - 1)]);
  }

  #drawSoon() {
    this.#drawing ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#drawing = 0;
    const { rowHeight } = this.#options;
    const first = Math.max(0, Math.floor(this.#top / rowHeight) - SPARE);
    const last = Math.min(this.#items.length, Math.ceil((this.#top + this.#height) / rowHeight) + SPARE);
    for (const [index, row] of this.#rows) {
      if (index < first || index >= last) {
        row.remove();
        this.#rows.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) {
      if (!this.#rows.has(index)) this.#rows.set(index, this.#make(index));
    }
    this.#mark();
  }

  #make(index) {
    const { id, render, rowHeight } = this.#options;
    const item = this.#items[index];
    const attrs = {
      role: "option",
      id: this.#prefix + index,
      "aria-setsize": this.#items.length,
      "aria-posinset": index + 1,
      "aria-selected": "false",
    };
    const row = el("div", { class: "row", attrs, dataset: { index, id: id(item) } }, ...render(item));
    row.style.setProperty("transform", `translateY(${index * rowHeight}px)`);
    this.#canvas.append(row);
    return row;
  }

  #chosenIndex() {
    return this.#items.findIndex((item) => this.#options.id(item) === this.#chosen);
  }

  #mark() {
    const index = this.#chosenIndex();
    for (const [position, row] of this.#rows) row.setAttribute("aria-selected", String(position === index));
    if (this.#rows.has(index)) this.element.setAttribute("aria-activedescendant", this.#prefix + index);
    else this.element.removeAttribute("aria-activedescendant");
    return index;
  }

  #reveal(index) {
    if (index < 0) return;
    const { rowHeight } = this.#options;
    const start = index * rowHeight;
    if (start < this.#top) this.#top = start;
    else if (start + rowHeight > this.#top + this.#height) this.#top = start + rowHeight - this.#height;
    else return;
    this.element.scrollTop = this.#top;
  }
}
