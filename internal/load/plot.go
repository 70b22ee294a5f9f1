package load

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// A plot is one or more lines over the same X.
type plot struct {
	Title, Unit, XUnit string
	X                  []float64
	Lines              []curve
	Ticks              []tick // of X; none: chosen
}

// A curve is a line of a plot.
type curve struct {
	Name string
	Y    []float64
}

type tick struct {
	at    float64
	label string
}

// The plot's measures, in units of its viewBox.
const (
	plotWidth, plotHeight = 640, 240
	marginLeft            = 64
	marginRight           = 16
	marginTop             = 12
	marginBottom          = 28
)

// SVG draws the plot. Colours come from the page.
func (p plot) SVG() template.HTML {
	top := 0.0
	for _, l := range p.Lines {
		for _, y := range l.Y {
			top = max(top, y)
		}
	}
	rows := ticksTo(top, 5)
	if top = max(top, rows[len(rows)-1]); top == 0 {
		top = 1
	}
	left, right := p.X[0], p.X[len(p.X)-1]
	x := func(v float64) float64 {
		return marginLeft + (v-left)/max(right-left, 1e-9)*(plotWidth-marginLeft-marginRight)
	}
	y := func(v float64) float64 {
		return plotHeight - marginBottom - v/top*(plotHeight-marginTop-marginBottom)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, plotHeight, template.HTMLEscapeString(p.Title))
	for _, v := range rows {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, marginLeft, plotWidth-marginRight, y(v), y(v))
		fmt.Fprintf(&b, `<text class="left" x="%d" y="%.1f">%s%s</text>`, marginLeft-8, y(v)+4, short(v), p.Unit)
	}
	columns := p.Ticks
	if columns == nil {
		for _, v := range ticksTo(right, 8) {
			if v >= left {
				columns = append(columns, tick{v, short(v) + " " + p.XUnit})
			}
		}
	}
	for _, t := range columns {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, x(t.at), x(t.at), marginTop, plotHeight-marginBottom)
		fmt.Fprintf(&b, `<text class="below" x="%.1f" y="%d">%s</text>`, x(t.at), plotHeight-8, t.label)
	}
	for i, l := range p.Lines {
		fmt.Fprintf(&b, `<polyline class="line%d" points="`, i)
		for j, v := range l.Y {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(p.X[j]), y(v))
		}
		b.WriteString(`"/>`)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// ticksTo returns round numbers from 0 to about top, in n steps at most.
func ticksTo(top float64, n int) []float64 {
	if top <= 0 || math.IsInf(top, 0) || math.IsNaN(top) {
		return []float64{0}
	}
	step := math.Pow(10, math.Floor(math.Log10(top/float64(n))))
	for _, f := range []float64{1, 2, 5, 10} {
		if top/(step*f) <= float64(n) {
			step *= f
			break
		}
	}
	var ticks []float64
	for i := 0; float64(i)*step <= top*1.0001; i++ {
		ticks = append(ticks, float64(i)*step)
	}
	return ticks
}

// short writes a tick.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.4gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.4gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}
