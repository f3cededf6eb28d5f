// Package sbom writes the bill of materials of a program in CycloneDX's form,
// from what the linker left in it.
package sbom

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/berth-lb/berth/image/compile"
	"github.com/berth-lb/berth/image/license"
)

// Write writes the bill: the program, the modules that are linked into it, Go
// itself, and what else is in the image. Licenses are looked up in modules.
func Write(w io.Writer, p compile.Program, beside []debug.Module, modules []license.Module) error {
	bill := cdx.NewBOM()
	names := licensesOf(modules)
	root := component(p.Info.Main.Path, p.Version(), names)
	root.Type = cdx.ComponentTypeApplication
	root.Properties = properties(map[string]string{"commit": p.Commit(), "architecture": p.Arch})
	bill.Metadata = &cdx.Metadata{Timestamp: p.Time().Format(time.RFC3339), Component: &root}

	components := []cdx.Component{goItself(p.Info.GoVersion, names)}
	for _, d := range p.Info.Deps {
		components = append(components, dependency(*d, names))
	}
	for _, d := range beside {
		components = append(components, dependency(d, names))
	}
	uses := make([]string, len(components))
	for i, c := range components {
		uses[i] = c.BOMRef
	}
	bill.Components = &components
	bill.Dependencies = &[]cdx.Dependency{{Ref: root.BOMRef, Dependencies: &uses}}
	if err := cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bill, cdx.SpecVersion1_6); err != nil {
		return fmt.Errorf("writing the bill of materials: %w", err)
	}
	return nil
}

// licensesOf are the names of licenses by path of the module. A path has one
// version in a program.
func licensesOf(modules []license.Module) map[string][]string {
	names := map[string][]string{}
	for _, m := range modules {
		names[m.Path] = m.Names()
	}
	return names
}

func dependency(m debug.Module, names map[string][]string) cdx.Component {
	if m.Replace != nil {
		m = *m.Replace
	}
	c := component(m.Path, m.Version, names)
	c.Properties = properties(map[string]string{"go.sum": m.Sum})
	return c
}

// goItself is named as the databases of vulnerabilities name it.
func goItself(version string, names map[string][]string) cdx.Component {
	c := component("stdlib", strings.TrimPrefix(version, "go"), nil)
	c.Licenses = choices(names[license.Go])
	return c
}

func component(path, version string, names map[string][]string) cdx.Component {
	purl := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return cdx.Component{
		Type: cdx.ComponentTypeLibrary, BOMRef: purl, Name: path, Version: version, PackageURL: purl,
		Licenses: choices(names[path]),
	}
}

func choices(names []string) *cdx.Licenses {
	if len(names) == 0 {
		return nil
	}
	var all cdx.Licenses
	for _, name := range names {
		all = append(all, cdx.LicenseChoice{License: &cdx.License{ID: name}})
	}
	return &all
}

func properties(values map[string]string) *[]cdx.Property {
	var all []cdx.Property
	for _, name := range []string{"architecture", "commit", "go.sum"} {
		if values[name] != "" {
			all = append(all, cdx.Property{Name: "berth:" + name, Value: values[name]})
		}
	}
	if all == nil {
		return nil
	}
	return &all
}
