package load

import (
	"bytes"
	"fmt"
	"html"
	"os"
	"strings"
)

// Sheet draws plots, in two columns, as one picture that needs no page around
// it and suits a light one and a dark one.
func Sheet(plots ...Plot) string {
	const gap, title = 24, 30
	rows := (len(plots) + 1) / 2
	width, height := 2*plotWidth+gap, rows*(plotHeight+title+gap)-gap
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="14">`, width, height)
	b.WriteString(sheetStyle)
	for i, p := range plots {
		x, y := i%2*(plotWidth+gap), i/2*(plotHeight+title+gap)
		fmt.Fprintf(&b, `<text class="title" x="%d" y="%d">%s</text>`, x+8, y+18, html.EscapeString(p.Title))
		for j, l := range p.Lines {
			if len(p.Lines) > 1 {
				at := x + plotWidth - marginRight - 110*(len(p.Lines)-j)
				fmt.Fprintf(&b, `<circle class="dot%d" r="4" cx="%d" cy="%d"/><text x="%d" y="%d">%s</text>`, j, at, y+13, at+9, y+18, html.EscapeString(l.Name))
			}
		}
		fmt.Fprintf(&b, `<svg x="%d" y="%d" width="%d" height="%d" viewBox="0 0 %d %d">`, x, y+title, plotWidth, plotHeight, plotWidth, plotHeight)
		p.draw(&b)
		b.WriteString("</svg>")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

const sheetStyle = `<style>text{fill:#667085}.title{fill:#1d2330;font-weight:600}.left{text-anchor:end}.below{text-anchor:middle}` +
	`.grid{stroke:#d0d5dd}polyline{fill:none;stroke-width:2;stroke-linejoin:round}.line0{stroke:#2f5fd0}.line1{stroke:#d0632f}.line2{stroke:#3f8f4f}` +
	`.dot0{fill:#2f5fd0}.dot1{fill:#d0632f}.dot2{fill:#3f8f4f}` +
	`@media(prefers-color-scheme:dark){text{fill:#98a2b3}.title{fill:#e8eaf0}.grid{stroke:#344054}.line0{stroke:#7aa2ff}.line1{stroke:#ff9d6b}.line2{stroke:#7fd38f}` +
	`.dot0{fill:#7aa2ff}.dot1{fill:#ff9d6b}.dot2{fill:#7fd38f}}</style>`

// WriteSection replaces, in a Markdown file, what stands between
// <!-- name --> and <!-- /name -->. Both marks must be there, once.
func WriteSection(file, name, text string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("write section: %w", err)
	}
	head, rest, began := bytes.Cut(page, []byte("<!-- "+name+" -->"))
	_, tail, ended := bytes.Cut(rest, []byte("<!-- /"+name+" -->"))
	if !began || !ended {
		return fmt.Errorf("write section: %s has no <!-- %s --> … <!-- /%s -->", file, name, name)
	}
	page = fmt.Appendf(nil, "%s<!-- %s -->\n\n%s\n\n<!-- /%s -->%s", head, name, strings.TrimSpace(text), name, tail)
	if err := os.WriteFile(file, page, 0o666); err != nil {
		return fmt.Errorf("write section: %w", err)
	}
	return nil
}
