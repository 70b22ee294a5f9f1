package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// A bar is a row of the chart: how many times better, and how many times it
// should be.
type bar struct {
	name           string
	better, target float64
}

// bars returns what there is to draw, and the longest of it.
func (r *record) bars() (bars []bar, most float64) {
	most = 10
	for _, row := range rows() {
		x := ratio(r.values(row, "tutti"), r.values(row, "node"))
		if math.IsNaN(x) || x <= 0 || row.ratio == 0 {
			continue
		}
		b := bar{row.name, x, row.ratio}
		if !row.above {
			b.better, b.target = 1/x, 1/row.ratio
		}
		most = max(most, b.better, b.target)
		bars = append(bars, b)
	}
	return bars, most
}

// chart draws how many times better than Node Tutti does in each row, on a
// logarithmic scale, with a mark at the target.
func (r *record) chart() string {
	const (
		width, left, right = 890, 360, 70
		height, top        = 26, 34
	)
	bars, most := r.bars()
	scale := func(v float64) float64 {
		return left + math.Log(max(v, 1))/math.Log(most)*(width-left-right)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="13">`, width, top+height*len(bars)+24)
	b.WriteString(`<style>text{fill:#475467}.v{fill:#1d2330;font-weight:600}.bar{fill:#2f5fd0}.low{fill:#d0632f}.t{stroke:#1d2330;stroke-width:2}.g{stroke:#d0d5dd}` +
		`@media(prefers-color-scheme:dark){text{fill:#98a2b3}.v{fill:#e8eaf0}.bar{fill:#7aa2ff}.low{fill:#ff9d6b}.t{stroke:#e8eaf0}.g{stroke:#344054}}</style>`)
	bottom := top + height*len(bars)
	for v := 1.0; v <= most; v *= 10 {
		for _, f := range []float64{1, 2, 5} {
			if v*f <= most {
				fmt.Fprintf(&b, `<line class="g" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text text-anchor="middle" x="%.1f" y="%d">%g×</text>`,
					scale(v*f), scale(v*f), top-8, bottom, scale(v*f), bottom+16, v*f)
			}
		}
	}
	fmt.Fprintf(&b, `<text x="%d" y="16">times better than Node's Socket.IO; the line is the target</text>`, left)
	for i, row := range bars {
		y := top + height*i
		class := "bar"
		if row.better < row.target {
			class = "low"
		}
		fmt.Fprintf(&b, `<text text-anchor="end" x="%d" y="%d">%s</text>`, left-10, y+14, html.EscapeString(row.name))
		fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="16" rx="3"/>`, class, left, y+1, max(scale(row.better)-left, 2))
		fmt.Fprintf(&b, `<line class="t" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, scale(row.target), scale(row.target), y-2, y+20)
		fmt.Fprintf(&b, `<text class="v" x="%.1f" y="%d">%.3g×</text>`, max(scale(row.better), scale(row.target))+8, y+14, row.better)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
