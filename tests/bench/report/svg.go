package report

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/onda-serving/onda/tests/bench/stats"
)

// series is one colour of a plot: a value for each group of bars, or for each x.
type series struct {
	name   string
	values []stats.Spread
}

// chart is a plot with bars or lines.
type chart struct {
	title, unit string
	groups      []string
	series      []series
	// lines joins the values instead of drawing bars.
	lines bool
	// x names the axis of the groups.
	x string
	// line is a value to mark, such as a target; 0 for none.
	line float64
}

const (
	width, height             = 760.0, 330.0
	left, right, top, bottom  = 66.0, 16.0, 58.0, 46.0
	plotWidth, plotHeight     = width - left - right, height - top - bottom
	ticksWanted, barsPerGroup = 5, 0.78
)

// style makes a plot readable on light and on dark pages, and its colours apart for most
// people who see colours differently.
const style = `<style>
text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:14px}.grid{stroke:#8c959f;stroke-opacity:.3}
.whisker{stroke:#24292f;stroke-opacity:.7}.mark{stroke:#cf222e;stroke-dasharray:5 4}.end{text-anchor:end}.mid{text-anchor:middle}.small{font-size:10.5px}
.f0{fill:#0969da}.f1{fill:#bc7a00}.f2{fill:#1a7f37}.f3{fill:#8250df}.s0{stroke:#0969da}.s1{stroke:#bc7a00}.s2{stroke:#1a7f37}.s3{stroke:#8250df}
.curve{fill:none;stroke-width:2.2}
@media(prefers-color-scheme:dark){text{fill:#d1d7e0}.whisker{stroke:#d1d7e0}.mark{stroke:#ff7b72}
.f0{fill:#58a6ff}.f1{fill:#e3b341}.f2{fill:#56d364}.f3{fill:#bc8cff}.s0{stroke:#58a6ff}.s1{stroke:#e3b341}.s2{stroke:#56d364}.s3{stroke:#bc8cff}}
</style>`

// svg draws the chart.
func (c chart) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s">%s`, width, height, html.EscapeString(c.title), style)
	fmt.Fprintf(&b, `<text class="title" x="%g" y="20">%s</text>`, left, html.EscapeString(c.title))
	limit, step := scale(c.most())
	y := func(v float64) float64 { return top + plotHeight*(1-math.Max(v, 0)/limit) }
	for i := 0; float64(i)*step <= limit*1.0001; i++ {
		v := float64(i) * step
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="end" x="%g" y="%.1f">%s</text>`,
			left, width-right, y(v), y(v), left-6, y(v)+4, short(v))
	}
	fmt.Fprintf(&b, `<text class="small" x="%g" y="%g">%s</text>`, 6.0, top-8, html.EscapeString(c.unit))
	c.legend(&b)
	slot := plotWidth / float64(max(len(c.groups), 1))
	for i, g := range c.groups {
		x, line := left+slot*(float64(i)+0.5), height-bottom+16
		for _, part := range wrap(g, slot) {
			fmt.Fprintf(&b, `<text class="mid small" x="%.1f" y="%g">%s</text>`, x, line, html.EscapeString(part))
			line += 13
		}
	}
	fmt.Fprintf(&b, `<text class="mid small" x="%g" y="%g">%s</text>`, left+plotWidth/2, height-8, html.EscapeString(c.x))
	if c.lines {
		c.curves(&b, slot, y)
	} else {
		c.bars(&b, slot, y)
	}
	if c.line > 0 {
		fmt.Fprintf(&b, `<line class="mark" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/>`, left, width-right, y(c.line), y(c.line))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// wrap breaks a label after its first word where it is wider than its slot.
func wrap(label string, slot float64) []string {
	const letter = 6.0 // about the width of one
	first, rest, ok := strings.Cut(label, " ")
	if !ok || float64(len(label))*letter < slot {
		return []string{label}
	}
	return []string{first, rest}
}

// most is the greatest value to show.
func (c chart) most() float64 {
	most := c.line
	for _, s := range c.series {
		for _, v := range s.values {
			most = math.Max(most, v.Max)
		}
	}
	return most
}

// scale chooses round numbers for an axis from 0 to at least most.
func scale(most float64) (limit, step float64) {
	if most <= 0 {
		return 1, 1
	}
	step = math.Pow(10, math.Floor(math.Log10(most/ticksWanted)))
	for _, times := range []float64{1, 2, 5, 10} {
		if most <= step*times*ticksWanted {
			step *= times
			break
		}
	}
	return step * math.Ceil(most/step), step
}

// legend names the colours, if there is more than one.
func (c chart) legend(b *strings.Builder) {
	if len(c.series) < 2 {
		return
	}
	x := left
	for i, s := range c.series {
		fmt.Fprintf(b, `<rect class="f%d" x="%.1f" y="30" width="10" height="10"/><text x="%.1f" y="39">%s</text>`, i, x, x+15, html.EscapeString(s.name))
		x += 32 + 6.6*float64(len(s.name))
	}
}

// bars draws a group of bars in each slot, with the least and greatest as whiskers.
func (c chart) bars(b *strings.Builder, slot float64, y func(float64) float64) {
	wide := slot * barsPerGroup / float64(len(c.series))
	for i, s := range c.series {
		for j, v := range s.values {
			if len(v.Samples) == 0 {
				continue
			}
			x := left + slot*(float64(j)+(1-barsPerGroup)/2) + wide*float64(i)
			fmt.Fprintf(b, `<rect class="f%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, i, x, y(v.Median), wide*0.9, y(0)-y(v.Median))
			fmt.Fprintf(b, `<line class="whisker" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, x+wide*0.45, x+wide*0.45, y(v.Min), y(v.Max))
			fmt.Fprintf(b, `<text class="mid small" x="%.1f" y="%.1f">%s</text>`, x+wide*0.45, y(v.Max)-4, short(v.Median))
		}
	}
}

// curves joins the values of each series.
func (c chart) curves(b *strings.Builder, slot float64, y func(float64) float64) {
	for i, s := range c.series {
		var points []string
		for j, v := range s.values {
			if len(v.Samples) == 0 {
				continue
			}
			x := left + slot*(float64(j)+0.5)
			points = append(points, fmt.Sprintf("%.1f,%.1f", x, y(v.Median)))
			fmt.Fprintf(b, `<line class="whisker" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/><circle class="f%d" cx="%.1f" cy="%.1f" r="3.5"/>`,
				x, x, y(v.Min), y(v.Max), i, x, y(v.Median))
		}
		fmt.Fprintf(b, `<polyline class="curve s%d" points="%s"/>`, i, strings.Join(points, " "))
	}
}
