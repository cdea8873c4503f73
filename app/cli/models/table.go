package models

import (
	"fmt"
	"strings"

	"github.com/rivo/uniseg"

	"github.com/onda-serving/onda/app/cli/client"
)

// table lines up cells. Texts that others wrote are cleaned, and on a terminal no line is
// longer than it is wide.
type table struct {
	rows [][]cell
}

// cell of a table.
type cell struct {
	text  string
	style style
}

// newTable begins a table with its heads.
func newTable(heads ...string) *table {
	row := make([]cell, len(heads))
	for i, head := range heads {
		row[i] = cell{head, bold}
	}
	return &table{rows: [][]cell{row}}
}

// add adds a row. Values are cells, texts or whole numbers.
func (t *table) add(values ...any) {
	row := make([]cell, len(values))
	for i, value := range values {
		c, ok := value.(cell)
		if !ok {
			c.text = fmt.Sprint(value)
		}
		c.text = client.Clean(c.text)
		if c.text == "" {
			c.text = "-"
		}
		row[i] = c
	}
	t.rows = append(t.rows, row)
}

// gap between two columns.
const gap = 2

// show writes the table, each line after an indent.
func (t *table) show(s *screen, indent string) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], uniseg.StringWidth(c.text))
		}
	}
	for _, row := range t.rows {
		s.print("%s", strings.TrimRight(indent+s.line(row, widths, len(indent)), " "))
	}
}

// line writes a row, and ends it where the terminal ends.
func (s *screen) line(row []cell, widths []int, used int) string {
	var b strings.Builder
	for i, c := range row {
		text := c.text
		if s.width > 0 {
			text = cut(text, s.width-used)
		}
		b.WriteString(s.paint(text, c.style))
		width := uniseg.StringWidth(text)
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", widths[i]-width+gap))
		}
		used += widths[i] + gap
		if text != c.text || s.width > 0 && used >= s.width {
			break
		}
	}
	return b.String()
}
