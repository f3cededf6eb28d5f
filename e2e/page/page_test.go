package page

import (
	"reflect"
	"testing"
)

func TestParse(t *testing.T) {
	const text = `# Top

## One

~~~sh
make a
~~~

1. In a list

   ~~~yaml
   a:
     b: 1
   ~~~

### Deeper
    # an indented block is not read, and its comments are no headings

~~~text
shown
~~~

## Two
~~~sh
# not a heading
make b
~~~
`
	want := []Block{
		{[]string{"Top", "One"}, "sh", 6, "make a\n"},
		{[]string{"Top", "One"}, "yaml", 12, "a:\n  b: 1\n"},
		{[]string{"Top", "One", "Deeper"}, "text", 20, "shown\n"},
		{[]string{"Top", "Two"}, "sh", 25, "# not a heading\nmake b\n"},
	}
	got, err := Parse(fenced(text))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !got[2].Under("One") || got[3].Under("One") {
		t.Error("a block stands under the headings above it, of every level")
	}
	if _, err := Parse(fenced("~~~sh\nmake a\n")); err == nil {
		t.Error("a block without end is taken")
	}
}

// fenced has the fences as pages have them: Go's own quotes are the same.
func fenced(text string) string {
	out := []byte(text)
	for i := range out {
		if out[i] == '~' {
			out[i] = '`'
		}
	}
	return string(out)
}
