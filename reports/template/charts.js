// Charts: drawn when they come near, in the colours of the page, and all of them for paper.
"use strict";
(() => {
  const plots = [...document.querySelectorAll(".plot")];
  const drawn = new Set();

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Colours of the page for everything in a layout that is neither a mark nor a label's own.
  const themed = (layout) => {
    const ink = colour("--ink");
    const grid = colour("--grid");
    const update = {
      "font.color": ink,
      "hoverlabel.bgcolor": colour("--raised"),
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

  // The library is large: it becomes a script when the first chart is drawn.
  const library = document.getElementById("charts-library");
  const load = () => {
    if (typeof Plotly !== "undefined") return;
    const script = document.createElement("script");
    script.textContent = library.textContent;
    document.head.append(script);
  };

  const draw = async (plot) => {
    if (drawn.has(plot)) return;
    drawn.add(plot);
    try {
      load();
      const { chart } = plot.dataset;
      const holder = chart ? document.getElementById(chart) : plot.nextElementSibling;
      const figure = JSON.parse(holder.textContent);
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
      await Plotly.newPlot(plot, figure.data, layout, options);
      plot.dataset.drawn = "yes";
    } catch (error) {
      plot.textContent = "This chart could not be drawn; its data stands below.";
      plot.dataset.drawn = "no";
    }
  };

  document.addEventListener("repaint", () => {
    for (const plot of drawn) if (plot.layout) Plotly.relayout(plot, themed(plot.layout));
  });
  window.addEventListener("beforeprint", () => plots.forEach(draw));

  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        watcher.unobserve(entry.target);
        draw(entry.target);
      }
    },
    { rootMargin: "400px" },
  );
  for (const plot of plots) watcher.observe(plot);
})();
