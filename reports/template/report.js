// The report's own behaviour: theme, charts when they come into view, everything open on paper.
"use strict";
(() => {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const plots = [...document.querySelectorAll(".plot")];
  const drawn = new Set();

  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);

  const paint = () => {
    const style = getComputedStyle(root);
    const ink = style.getPropertyValue("--ink").trim();
    const grid = style.getPropertyValue("--grid").trim();
    return { ink, grid };
  };

  // Colours of the page for everything in a layout that is neither a mark nor a label's own.
  const themed = (layout) => {
    const { ink, grid } = paint();
    const update = {
      "font.color": ink,
      "hoverlabel.bgcolor": isDark() ? "#24272d" : "#ffffff",
      "hoverlabel.font.color": ink,
      "hoverlabel.bordercolor": grid,
    };
    const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
    for (const axis of new Set(["xaxis", "yaxis", ...axes])) {
      update[`${axis}.gridcolor`] = grid;
      update[`${axis}.linecolor`] = grid;
      update[`${axis}.tickcolor`] = grid;
    }
    return update;
  };

  const setPath = (object, path, value) => {
    const keys = path.split(".");
    const last = keys.pop();
    let place = object;
    for (const key of keys) {
      if (typeof place[key] !== "object" || place[key] === null) place[key] = {};
      place = place[key];
    }
    place[last] = value;
  };

  const draw = async (plot) => {
    if (drawn.has(plot) || typeof Plotly === "undefined") return;
    drawn.add(plot);
    const figure = JSON.parse(plot.nextElementSibling.textContent);
    const layout = {
      ...figure.layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      width: undefined,
      autosize: true,
    };
    layout.font = { ...layout.font, family: getComputedStyle(document.body).fontFamily };
    for (const [path, value] of Object.entries(themed(layout))) setPath(layout, path, value);
    const options = { responsive: true, displayModeBar: false, showTips: false };
    try {
      await Plotly.newPlot(plot, figure.data, layout, options);
      plot.dataset.drawn = "yes";
    } catch (error) {
      plot.textContent = "This chart could not be drawn; its data stands below.";
    }
  };

  const drawAll = () => Promise.all(plots.map(draw));

  const repaint = () => {
    button.textContent = isDark() ? "Light theme" : "Dark theme";
    for (const plot of drawn) {
      if (plot.layout) Plotly.relayout(plot, themed(plot.layout));
    }
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    repaint();
  });
  dark.addEventListener("change", repaint);
  repaint();

  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) {
          watcher.unobserve(entry.target);
          draw(entry.target);
        }
      }
    },
    { rootMargin: "400px" },
  );
  for (const plot of plots) watcher.observe(plot);

  // On paper nothing can be unfolded.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const details of folded) details.open = true;
    drawAll();
  });
  window.addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
  });

  // A link to something folded away unfolds it.
  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  };
  window.addEventListener("hashchange", reveal);
  reveal();
})();
