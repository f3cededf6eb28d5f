package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Hash returns "v1:" and a hash of everything that s wants, targets included.
//
// It compares what is wanted now with what was applied, also by an earlier
// process that had looked at AWS. Therefore s has to be one that Desired decided
// without Existing: names and defaults follow what exists.
//
// What is hashed is a line per value, the path of its field and the value. Zero
// values have no line, so that a field that a later release adds changes no
// hash; one that is renamed does, and then needs "v2:".
func Hash(s Stack) string {
	sum := sha256.New()
	hashValue(sum, "", reflect.ValueOf(s))
	return "v1:" + hex.EncodeToString(sum.Sum(nil))
}

func hashValue(sum io.Writer, path string, v reflect.Value) {
	if v.IsZero() {
		return
	}
	switch value := v.Interface().(type) {
	case netip.Addr, netip.Prefix:
		hashLine(sum, path, fmt.Sprint(value))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			hashValue(sum, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			// An element counts even if it is zero.
			hashLine(sum, path, strconv.Itoa(i))
			hashValue(sum, path+"["+strconv.Itoa(i)+"]", v.Index(i))
		}
	case reflect.Map:
		values := v.Interface().(map[string]string)
		for _, key := range slices.Sorted(maps.Keys(values)) {
			hashLine(sum, path+"["+strconv.Quote(key)+"]", values[key])
		}
	default:
		hashLine(sum, path, fmt.Sprint(v.Interface()))
	}
}

// hashLine quotes the value, so that no value can look like another line.
func hashLine(sum io.Writer, path, value string) {
	var line strings.Builder
	line.WriteString(path)
	line.WriteByte('=')
	line.WriteString(strconv.Quote(value))
	line.WriteByte('\n')
	sum.Write([]byte(line.String()))
}
