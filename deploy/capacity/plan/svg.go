package plan

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// plot is a chart of lines over one axis.
type plot struct {
	title, x, unit string
	xs             []float64
	lines          []line
}

// line is one of them. A dashed one is what was measured.
type line struct {
	name   string
	ys     []float64
	dashed bool
}

const (
	wide, high                       = 760.0, 320.0
	atLeft, atRight, atTop, atBottom = 62.0, 16.0, 58.0, 46.0
)

// look is readable on light and on dark pages, and is that of the bench's plots.
const look = `<style>
text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:14px}.grid{stroke:#8c959f;stroke-opacity:.3}
.end{text-anchor:end}.mid{text-anchor:middle}.curve{fill:none;stroke-width:2}.dash{stroke-dasharray:5 4}
.f0{fill:#0969da}.f1{fill:#bc7a00}.f2{fill:#1a7f37}.f3{fill:#8250df}.s0{stroke:#0969da}.s1{stroke:#bc7a00}.s2{stroke:#1a7f37}.s3{stroke:#8250df}
@media(prefers-color-scheme:dark){text{fill:#d1d7e0}
.f0{fill:#58a6ff}.f1{fill:#e3b341}.f2{fill:#56d364}.f3{fill:#bc8cff}.s0{stroke:#58a6ff}.s1{stroke:#e3b341}.s2{stroke:#56d364}.s3{stroke:#bc8cff}}
</style>`

// svg draws the plot.
func (p plot) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s">%s`, wide, high, html.EscapeString(p.title), look)
	fmt.Fprintf(&b, `<text class="title" x="%g" y="20">%s</text><text x="6" y="%g">%s</text>`, atLeft, html.EscapeString(p.title), atTop-8, html.EscapeString(p.unit))
	most := 0.0
	for _, l := range p.lines {
		for _, y := range l.ys {
			most = math.Max(most, y)
		}
	}
	top, step := round(most)
	first, last := p.xs[0], p.xs[len(p.xs)-1]
	x := func(v float64) float64 { return atLeft + (wide-atLeft-atRight)*(v-first)/(last-first) }
	y := func(v float64) float64 { return atTop + (high-atTop-atBottom)*(1-v/top) }
	for v := 0.0; v <= top*1.0001; v += step {
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="end" x="%g" y="%.1f">%s</text>`, atLeft, wide-atRight, y(v), y(v), atLeft-6, y(v)+4, number(v))
	}
	_, tick := round(last - first)
	for v := math.Ceil(first/tick) * tick; v <= last*1.0001; v += tick {
		fmt.Fprintf(&b, `<text class="mid" x="%.1f" y="%g">%s</text>`, x(v), high-atBottom+16, number(v))
	}
	fmt.Fprintf(&b, `<text class="mid" x="%g" y="%g">%s</text>`, (wide+atLeft)/2, high-8, html.EscapeString(p.x))
	at := atLeft
	for i, l := range p.lines {
		fmt.Fprintf(&b, `<rect class="f%d" x="%.1f" y="30" width="10" height="10"/><text x="%.1f" y="39">%s</text>`, i%4, at, at+15, html.EscapeString(l.name))
		at += 34 + 6.4*float64(len(l.name))
		points := make([]string, len(l.ys))
		for j, v := range l.ys {
			points[j] = fmt.Sprintf("%.1f,%.1f", x(p.xs[j]), y(v))
		}
		dash := ""
		if l.dashed {
			dash = " dash"
		}
		fmt.Fprintf(&b, `<polyline class="curve s%d%s" points="%s"/>`, i%4, dash, strings.Join(points, " "))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// round chooses a round end of an axis from 0 to at least most, and its steps.
func round(most float64) (end, step float64) {
	const ticks = 5
	if most <= 0 {
		return 1, 1
	}
	step = math.Pow(10, math.Floor(math.Log10(most/ticks)))
	for _, times := range []float64{1, 2, 5, 10} {
		if most <= step*times*ticks {
			step *= times
			break
		}
	}
	return step * math.Ceil(most/step), step
}

// number writes a number with three digits, and thousands apart.
func number(v float64) string {
	switch size := math.Abs(v); {
	case size >= 1000 || v == math.Trunc(v):
		return thousands(v)
	case size >= 100:
		return fmt.Sprintf("%.0f", v)
	case size >= 10:
		return fmt.Sprintf("%.1f", v)
	case size >= 0.1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.2g", v)
	}
}

func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
