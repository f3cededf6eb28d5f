// Package page reads the commands and objects that a page of the documentation
// gives, so that tests can try them.
package page

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-lb/berth/e2e/cluster"
)

// Block is a fenced part of a page.
type Block struct {
	// Headings are those it stands under, the highest first.
	Headings []string
	// Language is what follows the fence: sh for commands, yaml for objects, and
	// text for what is only there to be read.
	Language string
	// Line is where Text begins.
	Line int
	Text string
}

// Under tells whether the block stands under a heading, of whatever level.
func (b Block) Under(heading string) bool {
	for _, h := range b.Headings {
		if h == heading {
			return true
		}
	}
	return false
}

// Read returns the blocks of a page in docs, in their order.
func Read(name string) ([]Block, error) {
	root, err := cluster.Root()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", name))
	if err != nil {
		return nil, err
	}
	blocks, err := Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("docs/%s: %w", name, err)
	}
	return blocks, nil
}

// Parse returns the blocks of a page's text. Fences may be indented, as in
// lists; so are then the lines between them, and that much is taken off.
func Parse(text string) ([]Block, error) {
	const fence = "```"
	var (
		blocks   []Block
		headings []string
		open     *Block
		indent   string
	)
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimLeft(line, " ")
		switch {
		case open == nil && strings.HasPrefix(trimmed, fence):
			indent = line[:len(line)-len(trimmed)]
			open = &Block{Headings: append([]string(nil), headings...), Language: strings.TrimPrefix(trimmed, fence), Line: i + 2}
		case open == nil:
			headings = under(headings, line)
		case strings.TrimSpace(line) == fence:
			blocks, open = append(blocks, *open), nil
		default:
			open.Text += strings.TrimPrefix(line, indent) + "\n"
		}
	}
	if open != nil {
		return nil, fmt.Errorf("the block that begins in line %d has no end", open.Line)
	}
	return blocks, nil
}

// under are the headings from a line on.
func under(headings []string, line string) []string {
	title := strings.TrimLeft(line, "#")
	level := len(line) - len(title)
	if level == 0 || !strings.HasPrefix(title, " ") {
		return headings
	}
	above := headings[:min(level-1, len(headings))]
	return append(above[:len(above):len(above)], strings.TrimSpace(title))
}
