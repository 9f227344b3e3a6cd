// The timeline of a run as an SVG: faults above, throughput and latency of submissions below.

import type { CustomSeriesRenderItemAPI } from "echarts";
import { CustomChart, LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { RunResult } from "../contract.ts";

use([CustomChart, LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

const width = 1_100;
/** Room for `cut-there scheduler-0 > api-server-0`. */
const left = 240;
const right = 30;
const rowPx = 18;
const chartPx = 150;
const gapPx = 64;
/** A moment must be seen as well. */
const barPxMin = 2;

const colours = {
  fault: "#c2410c",
  accepted: "#2563eb",
  started: "#0d9488",
  ended: "#7c3aed",
  p50: "#64748b",
  p99: "#b91c1c",
  grid: "#e5e7eb",
  text: "#374151",
};

/** On the other side than the titles; lines have no symbols, and neither has their legend. */
const legend = { right, icon: "rect", itemWidth: 16, itemHeight: 3, itemGap: 24 };

/** As text of an `<svg>` element that needs nothing else. */
export function pictureOf({ marks, timeline }: Pick<RunResult, "marks" | "timeline">): string {
  const from = timeline[0]?.at ?? 0;
  const seconds = (at: number) => (at - from) / 1_000;
  const places = [...new Set(marks.map(({ kind, where }) => `${kind} ${where}`))];
  const faultsPx = Math.max(1, places.length) * rowPx;
  const tops = [30, 30 + faultsPx + gapPx, 30 + faultsPx + gapPx + chartPx + gapPx] as const;
  const height = tops[2] + chartPx + 40;
  const end = Math.max(1, seconds((timeline.at(-1)?.at ?? from) + 1_000));

  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    const heights = [faultsPx, chartPx, chartPx];
    const line = (name: string, axis: number, colour: string, value: (index: number) => number | undefined) => ({
      type: "line" as const,
      name,
      xAxisIndex: axis,
      yAxisIndex: axis,
      showSymbol: false,
      color: colour,
      lineStyle: { width: 1.5 },
      data: timeline.map(({ at }, index) => [seconds(at), value(index) ?? null]),
    });
    const title = (text: string, top: number) => ({
      text,
      left: 0,
      top: top - 26,
      textStyle: { fontSize: 12, color: colours.text },
    });
    chart.setOption({
      animation: false,
      textStyle: { fontFamily: "system-ui, sans-serif" },
      title: [
        title("faults", tops[0]),
        title("tasks per second", tops[1]),
        title("answer to a submission, ms", tops[2]),
      ],
      legend: [
        { ...legend, top: tops[1] - 28, data: ["accepted", "started", "ended"] },
        { ...legend, top: tops[2] - 28, data: ["p50", "p99"] },
      ],
      grid: heights.map((each, index) => ({ left, right, top: tops[index] ?? 0, height: each })),
      xAxis: heights.map((_, gridIndex) => ({
        gridIndex,
        type: "value",
        min: 0,
        max: end,
        axisLabel: { formatter: "{value} s", hideOverlap: true },
        splitLine: { lineStyle: { color: colours.grid } },
      })),
      yAxis: [
        {
          gridIndex: 0,
          type: "category",
          inverse: true,
          data: places.length > 0 ? places : ["none"],
          axisTick: { show: false },
          splitLine: { show: true, lineStyle: { color: colours.grid } },
          axisLabel: { width: left - 12, overflow: "truncate", interval: 0, fontSize: 11 },
        },
        { gridIndex: 1, type: "value", min: 0, splitLine: { lineStyle: { color: colours.grid } } },
        { gridIndex: 2, type: "log", min: 1, splitLine: { lineStyle: { color: colours.grid } } },
      ],
      series: [
        {
          type: "custom",
          xAxisIndex: 0,
          yAxisIndex: 0,
          data: marks.map(({ kind, where, from: begin, until = begin }) => [
            places.indexOf(`${kind} ${where}`),
            seconds(begin),
            Math.min(end, seconds(until)),
          ]),
          encode: { x: [1, 2], y: 0 },
          clip: true,
          renderItem(_: unknown, api: CustomSeriesRenderItemAPI) {
            const [x = 0, y = 0] = api.coord([api.value(1), api.value(0)]);
            const [until = x] = api.coord([api.value(2), api.value(0)]);
            const shape = { x, y: y - rowPx / 3, width: Math.max(barPxMin, until - x), height: (2 * rowPx) / 3 };
            return { type: "rect", shape, style: { fill: colours.fault } };
          },
        },
        line("accepted", 1, colours.accepted, (index) => timeline[index]?.accepted),
        line("started", 1, colours.started, (index) => timeline[index]?.started),
        line("ended", 1, colours.ended, (index) => timeline[index]?.ended),
        line("p50", 2, colours.p50, (index) => atLeastOne(timeline[index]?.submitP50)),
        line("p99", 2, colours.p99, (index) => atLeastOne(timeline[index]?.submitP99)),
      ],
    });
    return chart.renderToSVGString();
  } finally {
    // It would keep the process alive.
    chart.dispose();
  }
}

/** The axis is logarithmic. */
function atLeastOne(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.max(1, ms);
}
