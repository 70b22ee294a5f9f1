package load

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// A Plot is one or more lines over the same X.
type Plot struct {
	Title, Unit, XUnit string
	X                  []float64
	Lines              []Curve
	Ticks              []Tick // of X; none: chosen
	Dots               bool   // mark what was measured
}

// A Curve is a line of a plot.
type Curve struct {
	Name string
	Y    []float64
}

// A Tick is a mark on an axis.
type Tick struct {
	At    float64
	Label string
}

// The plot's measures, in units of its viewBox.
const (
	plotWidth, plotHeight = 640, 240
	marginLeft            = 80
	marginRight           = 16
	marginTop             = 12
	marginBottom          = 32
)

// SVG draws the plot. Colours come from the page.
func (p Plot) SVG() template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, plotHeight, template.HTMLEscapeString(p.Title))
	p.draw(&b)
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// A scale places values on the plot.
type scale struct{ left, right, top float64 }

func (s scale) x(v float64) float64 {
	return marginLeft + (v-s.left)/max(s.right-s.left, 1e-9)*(plotWidth-marginLeft-marginRight)
}

func (s scale) y(v float64) float64 {
	return plotHeight - marginBottom - v/s.top*(plotHeight-marginTop-marginBottom)
}

// draw writes what is within the plot's element.
func (p Plot) draw(b *strings.Builder) {
	top := 0.0
	for _, l := range p.Lines {
		for _, y := range l.Y {
			top = max(top, y)
		}
	}
	rows := ticksTo(top, 5)
	if n := len(rows); n > 1 && rows[n-1] < top { // end with a line
		rows = append(rows, rows[n-1]+rows[1])
	}
	if top = max(top, rows[len(rows)-1]); top == 0 {
		top = 1
	}
	at := scale{left: p.X[0], right: p.X[len(p.X)-1], top: top}
	for _, v := range rows {
		fmt.Fprintf(b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, marginLeft, plotWidth-marginRight, at.y(v), at.y(v))
		fmt.Fprintf(b, `<text class="left" x="%d" y="%.1f">%s%s</text>`, marginLeft-8, at.y(v)+4, short(v), p.Unit)
	}
	for _, t := range p.columns(at) {
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, at.x(t.At), at.x(t.At), marginTop, plotHeight-marginBottom)
		class, x := "below", at.x(t.At)
		if x > plotWidth-4*marginRight { // long labels would leave the picture
			class, x = "left", min(x+marginRight, plotWidth)
		}
		fmt.Fprintf(b, `<text class="%s" x="%.1f" y="%d">%s</text>`, class, x, plotHeight-8, t.Label)
	}
	for i, l := range p.Lines {
		fmt.Fprintf(b, `<polyline class="line%d" points="`, i)
		for j, v := range l.Y {
			fmt.Fprintf(b, "%.1f,%.1f ", at.x(p.X[j]), at.y(v))
		}
		b.WriteString(`"/>`)
		for j, v := range l.Y {
			if p.Dots {
				fmt.Fprintf(b, `<circle class="dot%d" r="3" cx="%.1f" cy="%.1f"/>`, i, at.x(p.X[j]), at.y(v))
			}
		}
	}
}

// columns returns the marks of X.
func (p Plot) columns(s scale) []Tick {
	if p.Ticks != nil {
		return p.Ticks
	}
	var columns []Tick
	for _, v := range ticksTo(s.right, 8) {
		if v >= s.left {
			columns = append(columns, Tick{v, short(v) + " " + p.XUnit})
		}
	}
	return columns
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
