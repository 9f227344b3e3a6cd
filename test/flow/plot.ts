// Time series as an SVG that needs nothing else: panels below each other, which share the seconds.
import { LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, MarkLineComponent, TitleComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

use([LineChart, GridComponent, LegendComponent, MarkLineComponent, TitleComponent, SVGRenderer]);

export interface Line {
  readonly name: string;
  /** One value per second; undefined leaves a gap. */
  readonly values: readonly (number | undefined)[];
  readonly colour: string;
  readonly isDashed?: boolean;
}
export interface Panel {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly isLogarithmic?: boolean;
}

export const colours = {
  good: "#0d9488",
  bad: "#c2410c",
  worse: "#b91c1c",
  other: "#7c3aed",
  neutral: "#2563eb",
  grey: "#64748b",
};

const width = 900;
const panelPx = 170;
const gapPx = 86;
const left = 80;
const right = 24;
const text = "#374151";
const grid = "#e5e7eb";

/** As text of an `<svg>` element. */
export function svgOf(panels: readonly Panel[]): string {
  const tops = panels.map((_, index) => 62 + index * (panelPx + gapPx));
  const height = (tops.at(-1) ?? 0) + panelPx + 36;
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    chart.setOption({
      animation: false,
      backgroundColor: "#ffffff",
      title: panels.map(({ title }, index) => ({
        text: title,
        left: left - 60,
        top: (tops[index] ?? 0) - 54,
        textStyle: { fontSize: 13, fontWeight: "bold", color: text },
      })),
      legend: panels.map(({ lines }, index) => ({
        data: lines.map(({ name }) => name),
        left,
        top: (tops[index] ?? 0) - 30,
        itemGap: 18,
        itemWidth: 16,
        itemHeight: 3,
        icon: "rect",
        textStyle: { color: text, fontSize: 11 },
      })),
      grid: tops.map((top) => ({ left, right, top, height: panelPx })),
      xAxis: panels.map((_, index) => ({
        type: "value",
        gridIndex: index,
        max: "dataMax",
        axisLabel: { color: text, formatter: "{value} s" },
        splitLine: { show: false },
      })),
      yAxis: panels.map(({ isLogarithmic = false }, index) => ({
        type: isLogarithmic ? "log" : "value",
        gridIndex: index,
        axisLabel: { color: text },
        splitLine: { lineStyle: { color: grid } },
      })),
      series: panels.flatMap(({ lines, isLogarithmic = false }, index) =>
        lines.map(({ name, values, colour, isDashed = false }) => ({
          type: "line",
          name,
          xAxisIndex: index,
          yAxisIndex: index,
          showSymbol: false,
          color: colour,
          lineStyle: { width: 1.5, type: isDashed ? "dashed" : "solid" },
          data: values.map((value, second) => [second, shown(value, isLogarithmic)]),
        })),
      ),
    });
    return `${chart.renderToSVGString()}\n`;
  } finally {
    chart.dispose();
  }
}

/** A logarithm has no place for 0. */
function shown(value: number | undefined, isLogarithmic: boolean): number | null {
  if (value === undefined) return null;
  return isLogarithmic ? Math.max(1, value) : Math.round(value * 100) / 100;
}
