package load

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSheetIsXML(t *testing.T) {
	p := Plot{Title: "a < b", Unit: " ms", X: []float64{0, 1}, Lines: []Curve{{"x & y", []float64{1, 2}}, {"z", []float64{0, 3}}}, Dots: true}
	d := xml.NewDecoder(strings.NewReader(Sheet(p, p, p)))
	plots := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			plots++
		}
	}
	if plots != 6 {
		t.Errorf("%d lines, want 6", plots)
	}
}

func TestWriteSection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.md")
	page := "before\n<!-- x -->old<!-- /x -->\nafter <!-- y --><!-- /y -->\n"
	if err := os.WriteFile(file, []byte(page), 0o666); err != nil {
		t.Fatal(err)
	}
	for range 2 { // again: nothing grows
		if err := WriteSection(file, "x", "\nnew\n\n"); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if want := "before\n<!-- x -->\n\nnew\n\n<!-- /x -->\nafter <!-- y --><!-- /y -->\n"; err != nil || string(text) != want {
			t.Errorf("%q, %v, want %q", text, err, want)
		}
	}
	if err := WriteSection(file, "z", "new"); err == nil {
		t.Error("a section that is not there was written")
	}
}
