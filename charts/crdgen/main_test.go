package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

func TestChartIsUpToDate(t *testing.T) {
	if err := run(filepath.Join("..", "berth", "crds"), true); err != nil {
		t.Error(err)
	}
}

func TestWriteThenCheck(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "crds")
	stale := func(names ...string) {
		t.Helper()
		err := run(dir, true)
		if len(names) == 0 {
			if err != nil {
				t.Error(err)
			}
			return
		}
		if err == nil {
			t.Fatalf("the check is content, want it to name %v", names)
		}
		for _, want := range append(names, "make generate") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the check says %q, want it to name %q", err, want)
			}
		}
	}
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	stale("metallb.io_ipaddresspools.yaml", "metallb.io_configurationstates.yaml")
	if err := run(dir, false); err != nil {
		t.Fatal(err)
	}
	stale()

	put("metallb.io_ipaddresspools.yaml", "edited by hand")
	put("metallb.io_olds.yaml", headerStart+" from another table\n")
	put("somebody-elses.yaml", "kind: Other\n")
	stale("metallb.io_ipaddresspools.yaml", "metallb.io_olds.yaml")
	if err := run(dir, false); err != nil {
		t.Fatal(err)
	}
	stale()
	if _, err := os.Stat(filepath.Join(dir, "somebody-elses.yaml")); err != nil {
		t.Errorf("a file of another's making: %v", err)
	}
}

func TestAskMustFitTheType(t *testing.T) {
	for name, test := range map[string]struct {
		ask  ask
		want string
	}{
		"no such field":   {ask{field: "spec.adresses"}, "no field adresses"},
		"not a list":      {ask{field: "spec[]"}, "spec is not a list"},
		"nothing to drop": {ask{field: "spec.weight", mayChange: true}, "no rule \"self == oldSelf\" to drop"},
		"already bounded": {ask{field: "spec.weight", minimum: ptr.To[float64](1)}, "already says minimum 0"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.ask.add(&apiextensions.JSONSchemaProps{Properties: map[string]apiextensions.JSONSchemaProps{
				"spec": {Properties: map[string]apiextensions.JSONSchemaProps{"weight": {Minimum: ptr.To[float64](0)}}},
			}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// The objects in testdata are for a real API server to judge; here they only have to be what they claim to be.
func TestTestdata(t *testing.T) {
	cases := map[string]int{}
	names := map[string]string{}
	paths, err := filepath.Glob(filepath.Join("testdata", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var object struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Metadata   struct {
				Name        string            `json:"name"`
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
			Spec   any `json:"spec"`
			Status any `json:"status"`
		}
		if err := yaml.UnmarshalStrict(text, &object); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if k := kindOf(object.Kind); k == nil || !k.serves(object.APIVersion) {
			t.Errorf("%s: %s %q is not in the table", path, object.APIVersion, object.Kind)
		}
		if prefix := strings.ToLower(object.Kind) + "-"; !strings.HasPrefix(filepath.Base(path), prefix) {
			t.Errorf("%s: the name of the file does not begin with %s", path, prefix)
		}
		if other, taken := names[object.Kind+object.Metadata.Name]; taken || object.Metadata.Name == "" {
			t.Errorf("%s: the object's name is empty or also in %q", path, other)
		}
		names[object.Kind+object.Metadata.Name] = path

		first, _, _ := strings.Cut(string(text), "\n")
		want, invalid := strings.CutPrefix(first, "# want: ")
		verdict := filepath.Base(filepath.Dir(path))
		switch {
		case verdict == "invalid" && (!invalid || want == ""):
			t.Errorf("%s: the first line has to be \"# want: \" and a part of the API server's message", path)
		case verdict == "valid" && invalid:
			t.Errorf("%s: a valid object wants no message", path)
		}
		cases[verdict+object.Kind]++
	}
	for _, k := range kinds {
		if cases["valid"+k.name] == 0 {
			t.Errorf("%s has no valid case", k.name)
		}
		if slices.ContainsFunc(k.asks, refuses) && cases["invalid"+k.name] == 0 {
			t.Errorf("%s has rules and no invalid case", k.name)
		}
	}
}

// refuses says whether a makes anything invalid; to drop a rule does not.
func refuses(a ask) bool { return !a.mayChange || len(a.rules) > 0 }

func (k *kind) serves(version string) bool {
	name, ok := strings.CutPrefix(version, k.from.group+"/")
	return ok && (name == k.version || slices.Contains(k.older, name))
}

// An older version without a conversion of its own must not have a field that means something else in the stored one.
func TestOlderVersionMustFit(t *testing.T) {
	text, number := apiextensions.JSONSchemaProps{Type: "string"}, apiextensions.JSONSchemaProps{Type: "integer"}
	of := func(properties map[string]apiextensions.JSONSchemaProps) *apiextensions.JSONSchemaProps {
		return &apiextensions.JSONSchemaProps{Type: "object", Properties: properties}
	}
	list := func(of apiextensions.JSONSchemaProps) apiextensions.JSONSchemaProps {
		return apiextensions.JSONSchemaProps{Type: "array", Items: &apiextensions.JSONSchemaPropsOrArray{Schema: &of}}
	}
	wide := of(map[string]apiextensions.JSONSchemaProps{"address": text, "port": number, "names": list(text)})
	for why, test := range map[string]struct {
		narrow map[string]apiextensions.JSONSchemaProps
		want   string
	}{
		"fewer fields":          {map[string]apiextensions.JSONSchemaProps{"address": text, "names": list(text)}, ""},
		"a field of its own":    {map[string]apiextensions.JSONSchemaProps{"router": text}, "there is no field router"},
		"another type":          {map[string]apiextensions.JSONSchemaProps{"port": text}, `port: its type is "integer", not "string"`},
		"another type of items": {map[string]apiextensions.JSONSchemaProps{"names": list(number)}, `names: its type is "string", not "integer"`},
	} {
		t.Run(why, func(t *testing.T) {
			err := contains(wide, of(test.narrow))
			if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func kindOf(name string) *kind {
	for i := range kinds {
		if kinds[i].name == name {
			return &kinds[i]
		}
	}
	return nil
}
