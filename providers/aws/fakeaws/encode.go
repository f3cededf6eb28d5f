package fakeaws

import (
	"bytes"
	"encoding/xml"
	"reflect"
	"strconv"
	"time"
)

var timeType = reflect.TypeFor[time.Time]()

// encode writes the fields of out, a pointer to the output of an action, as
// elements.
func (p protocol) encode(b *bytes.Buffer, out any) { p.fields(b, reflect.ValueOf(out).Elem()) }

func (p protocol) fields(b *bytes.Buffer, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || f.Name == "ResultMetadata" {
			continue
		}
		p.write(b, p.response(v.Type(), f.Name), v.Field(i))
	}
}

func (p protocol) write(b *bytes.Buffer, name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			p.write(b, name, v.Elem())
		}
		return
	case reflect.Slice:
		if v.IsNil() {
			return
		}
	case reflect.String:
		if v.Len() == 0 && v.Type() != reflect.TypeFor[string]() {
			return // an enumeration without a value
		}
	}
	b.WriteString("<" + name + ">")
	p.content(b, v)
	b.WriteString("</" + name + ">")
}

func (p protocol) content(b *bytes.Buffer, v reflect.Value) {
	switch {
	case v.Type() == timeType:
		b.WriteString(v.Interface().(time.Time).UTC().Format("2006-01-02T15:04:05.000Z"))
	case v.Kind() == reflect.Struct:
		p.fields(b, v)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			p.write(b, p.element, v.Index(i))
		}
	case v.Kind() == reflect.String:
		_ = xml.EscapeText(b, []byte(v.String())) // a Buffer does not fail
	case v.Kind() == reflect.Bool:
		b.WriteString(strconv.FormatBool(v.Bool()))
	case v.CanInt():
		b.WriteString(strconv.FormatInt(v.Int(), 10))
	case v.CanFloat():
		b.WriteString(strconv.FormatFloat(v.Float(), 'f', -1, 64))
	default:
		panic("an answer has a " + v.Type().String())
	}
}
