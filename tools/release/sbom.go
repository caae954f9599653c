package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"

	"github.com/treeline-ci/treeline/tools/licences"
)

// writeBOM writes the bill of materials of the release, in CycloneDX: each program with its checksum and what is in it,
// every module with its version, checksum and licence.
func (r *release) writeBOM(built []binary) error {
	text, err := r.bom(built)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(r.out, r.base()+".cdx.json"), func(w io.Writer) error { _, err := w.Write(text); return err })
}

// writeNotices writes the notices of all programs together.
func (r *release) writeNotices(modules []licences.Module) error {
	return writeFile(filepath.Join(r.out, "THIRD_PARTY_NOTICES"), func(w io.Writer) error {
		return licences.Notices(w, "Treeline "+r.version, modules)
	})
}

func (r *release) bom(built []binary) ([]byte, error) {
	bom := cyclonedx.NewBOM()
	self := "pkg:golang/github.com/treeline-ci/treeline@" + r.version
	bom.Metadata = &cyclonedx.Metadata{
		Timestamp: r.time.Format(time.RFC3339),
		Component: &cyclonedx.Component{
			BOMRef: self, Type: cyclonedx.ComponentTypeApplication, Name: program, Version: r.version, PackageURL: self, Licenses: terms([]string{"Apache-2.0"}),
			Properties: &[]cyclonedx.Property{{Name: "git:commit", Value: r.commit}},
		},
	}
	var components []cyclonedx.Component
	var dependencies []cyclonedx.Dependency
	var programs []string
	for _, b := range built {
		ref := "file:" + b.platform.String()
		programs = append(programs, ref)
		components = append(components, cyclonedx.Component{
			BOMRef: ref, Type: cyclonedx.ComponentTypeFile, Name: filepath.Base(b.file), Version: r.version, Description: "the program for " + b.platform.String(),
			Hashes: &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: b.sum}},
		})
		var refs []string
		for _, m := range b.modules {
			refs = append(refs, purl(m))
		}
		slices.Sort(refs)
		dependencies = append(dependencies, cyclonedx.Dependency{Ref: ref, Dependencies: &refs})
	}
	for _, m := range union(built) {
		c, err := component(m)
		if err != nil {
			return nil, err
		}
		components = append(components, c)
	}
	dependencies = append(dependencies, cyclonedx.Dependency{Ref: self, Dependencies: &programs})
	bom.Components, bom.Dependencies = &components, &dependencies
	// Its number comes from what it says, so that the same release has the same.
	first, err := encode(bom)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(first)
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // a UUID of version 8, made by a rule of our own
	bom.SerialNumber = fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	return encode(bom)
}

func encode(bom *cyclonedx.BOM) ([]byte, error) {
	var out bytes.Buffer
	err := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	return out.Bytes(), err
}

// purl is a module's package URL.
func purl(m licences.Module) string {
	kind, path := "golang", m.Path
	if m.Kind == licences.NPM {
		kind, path = "npm", strings.Replace(m.Path, "@", "%40", 1)
	}
	return "pkg:" + kind + "/" + path + "@" + m.Version
}

func component(m licences.Module) (cyclonedx.Component, error) {
	c := cyclonedx.Component{
		BOMRef: purl(m), Type: cyclonedx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: purl(m), Licenses: terms(m.Licences),
	}
	algorithm, sum, ok := cyclonedx.HashAlgoSHA512, "", false
	if sum, ok = strings.CutPrefix(m.Sum, "h1:"); ok { // of the module's directory, as go.sum has it
		c.Properties = &[]cyclonedx.Property{{Name: "go:sum", Value: "h1:" + sum}}
		return c, nil
	}
	if sum, ok = strings.CutPrefix(m.Sum, "sha512-"); ok {
		raw, err := base64.StdEncoding.DecodeString(sum)
		if err != nil {
			return c, fmt.Errorf("%s: checksum: %w", m.Path, err)
		}
		c.Hashes = &[]cyclonedx.Hash{{Algorithm: algorithm, Value: hex.EncodeToString(raw)}}
	}
	return c, nil
}

func terms(ids []string) *cyclonedx.Licenses {
	if len(ids) == 0 {
		return nil
	}
	var list cyclonedx.Licenses
	for _, id := range ids {
		list = append(list, cyclonedx.LicenseChoice{License: &cyclonedx.License{ID: id}})
	}
	return &list
}
