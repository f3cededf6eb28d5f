package fakeaws

import (
	"cmp"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// protocol is how a service writes its types down.
type protocol struct {
	dialect
	// field is the parameter, or element, of the field of a struct.
	request, response func(of reflect.Type, field string) string
	// member stands before the number of an element of a list in a request, or is
	// empty; element names those of an answer.
	member, element string
}

// node is a parameter with dots in its name, taken apart.
type node struct {
	value    *string
	children map[string]*node
}

// parse takes the parameters of a request apart.
func (p protocol) parse(form url.Values) (*node, error) {
	root := &node{}
	for _, key := range sortedKeys(form) {
		if key == "Action" || key == "Version" {
			continue
		}
		if len(form[key]) != 1 {
			return nil, refuse(p.malformed, "The parameter %s is there %d times", key, len(form[key]))
		}
		at := root
		for part := range strings.SplitSeq(key, ".") {
			if at.children == nil {
				at.children = map[string]*node{}
			}
			next, ok := at.children[part]
			if !ok {
				next = &node{}
				at.children[part] = next
			}
			at = next
		}
		at.value = &form[key][0]
	}
	return root, nil
}

// decode fills in, a pointer to the input of an action. A parameter that the
// input does not have is refused: Elastic Load Balancing would ignore some, but
// a caller that sends them means something by it.
func (p protocol) decode(form url.Values, in any) error {
	root, err := p.parse(form)
	if err != nil {
		return err
	}
	return p.structure(root, reflect.ValueOf(in).Elem(), "")
}

func (p protocol) set(n *node, to reflect.Value, path string) error {
	switch to.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		return p.set(n, to.Elem(), path)
	case reflect.Struct:
		return p.structure(n, to, path)
	case reflect.Slice:
		return p.list(n, to, path)
	}
	if n.value == nil || len(n.children) > 0 {
		return refuse(p.unknown, "The parameter %s is not recognized", join(path, firstOf(n.children)))
	}
	return p.scalar(*n.value, to, path)
}

func (p protocol) structure(n *node, to reflect.Value, path string) error {
	fields := map[string]int{}
	for i := range to.NumField() {
		if f := to.Type().Field(i); f.IsExported() {
			fields[p.request(to.Type(), f.Name)] = i
		}
	}
	for _, name := range sortedKeys(n.children) {
		i, ok := fields[name]
		if !ok {
			return refuse(p.unknown, "The parameter %s is not recognized", join(path, name))
		}
		if err := p.set(n.children[name], to.Field(i), join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

// list reads elements that are numbered from one, without a gap.
func (p protocol) list(n *node, to reflect.Value, path string) error {
	if n.value != nil && *n.value == "" && len(n.children) == 0 {
		to.Set(reflect.MakeSlice(to.Type(), 0, 0))
		return nil
	}
	if p.member != "" {
		member, ok := n.children[p.member]
		if !ok || len(n.children) != 1 {
			return refuse(p.unknown, "The parameter %s is not recognized", join(path, firstOf(n.children)))
		}
		n, path = member, join(path, p.member)
	}
	list := reflect.MakeSlice(to.Type(), len(n.children), len(n.children))
	for i := range len(n.children) {
		number := strconv.Itoa(i + 1)
		element, ok := n.children[number]
		if !ok {
			return refuse(p.malformed, "The elements of %s are not numbered from 1 to %d", path, len(n.children))
		}
		if err := p.set(element, list.Index(i), join(path, number)); err != nil {
			return err
		}
	}
	to.Set(list)
	return nil
}

func (p protocol) scalar(s string, to reflect.Value, path string) error {
	switch to.Kind() {
	case reflect.String:
		if allowed := values(to); len(allowed) > 0 && !slices.Contains(allowed, s) {
			return refuse(p.malformed, "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: [%s]", s, path, strings.Join(allowed, ", "))
		}
		to.SetString(s)
	case reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return refuse(p.malformed, "Invalid value '%s' for %s: it is a boolean", s, path)
		}
		to.SetBool(b)
	case reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(s, 10, to.Type().Bits())
		if err != nil {
			return refuse(p.malformed, "Invalid value '%s' for %s: it is an integer", s, path)
		}
		to.SetInt(i)
	default:
		return fmt.Errorf("%s: a %s is not understood", path, to.Type())
	}
	return nil
}

// values are those of an enumeration of the SDK, none for another type.
func values(v reflect.Value) []string {
	method := v.MethodByName("Values")
	if !method.IsValid() {
		return nil
	}
	all := method.Call(nil)[0]
	list := make([]string, all.Len())
	for i := range list {
		list[i] = all.Index(i).String()
	}
	return list
}

// absent names the first of the fields of in that has no value.
func absent(in any, fields []string) string {
	v := reflect.ValueOf(in).Elem()
	for _, name := range fields {
		f := v.FieldByName(name)
		if f.IsZero() || f.Kind() == reflect.Slice && f.Len() == 0 {
			return name
		}
	}
	return ""
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func firstOf(m map[string]*node) string {
	if len(m) == 0 {
		return ""
	}
	return sortedKeys(m)[0]
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
