package enroll

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Metadata says where the clouds' metadata services are; the zero value: where they always are.
type Metadata struct {
	AWS, Google, Azure string
	Every              time.Duration // how often Notice asks; 0: as each cloud recommends
}

// At has all of them at one address, "" for where they always are.
func At(address string) Metadata {
	address = strings.TrimRight(address, "/")
	return Metadata{AWS: address, Google: address, Azure: address}
}

const (
	awsMetadata    = "http://169.254.169.254"
	googleMetadata = "http://metadata.google.internal"
	azureMetadata  = "http://169.254.169.254"

	metadataTimeout = 10 * time.Second
	maxMetadata     = 1 << 20
)

// IsCloud tells whether a word names a cloud whose metadata service Describe can ask.
func IsCloud(word string) bool { return word == "aws" || word == "google" || word == "azure" }

// Describe asks the metadata service of the machine that this is what to register with: who the machine is,
// whose worker, and what proves it (taskcluster-map 12.2).
func (m Metadata) Describe(ctx context.Context, cloud string) (f File, err error) {
	switch cloud {
	case "aws":
		f, err = server{or(m.AWS, awsMetadata), nil}.aws(ctx)
	case "google":
		f, err = server{or(m.Google, googleMetadata), http.Header{"Metadata-Flavor": {"Google"}}}.google(ctx)
	case "azure":
		f, err = server{or(m.Azure, azureMetadata), http.Header{"Metadata": {"true"}}}.azure(ctx)
	default:
		return f, fault.New(fault.Invalid, "%q is none of aws, google, azure", cloud)
	}
	if err != nil {
		return f, fmt.Errorf("ask the metadata service of %s: %w", cloud, err)
	}
	return f, f.check("what the metadata service of " + cloud + " tells")
}

func or(address, otherwise string) string {
	if address == "" {
		return otherwise
	}
	return address
}

// server is a metadata service. It is on this machine's own link: no proxy leads to it.
type server struct {
	address string
	header  http.Header
}

func (s server) get(ctx context.Context, method, path string, header http.Header) (string, error) {
	resp, err := s.ask(ctx, metadataTimeout, method, path, header)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxMetadata))
	switch {
	case err != nil:
	case resp.StatusCode == http.StatusNotFound:
		err = fault.New(fault.NotFound, "%s: %s", path, resp.Status)
	case resp.StatusCode != http.StatusOK:
		err = fault.New(fault.Invalid, "%s: %s", path, resp.Status)
	}
	return string(text), err
}

// ask sends a request, to whose end there is a limit; no proxy is used.
func (s server) ask(ctx context.Context, limit time.Duration, method, path string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.address+path, nil)
	if err != nil {
		return nil, err
	}
	for _, h := range []http.Header{s.header, header} {
		for name, values := range h {
			req.Header[name] = values
		}
	}
	direct := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: limit}
	return direct.Do(req)
}

// all gets several things at once.
func (s server) all(ctx context.Context, paths ...string) (out []string, err error) {
	for _, p := range paths {
		text, err := s.get(ctx, http.MethodGet, p, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, nil
}

func (s server) aws(ctx context.Context) (f File, err error) {
	token, err := s.get(ctx, http.MethodPut, "/latest/api/token", http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {"300"}})
	if err != nil {
		return f, err
	}
	s.header = http.Header{"X-Aws-Ec2-Metadata-Token": {token}}
	const identity = "/latest/dynamic/instance-identity/"
	got, err := s.all(ctx, "/latest/user-data", "/latest/meta-data/instance-id", identity+"document", identity+"signature")
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal([]byte(got[0]), &f); err != nil {
		return f, fault.New(fault.Invalid, "the user data is no JSON")
	}
	f.WorkerID = got[1]
	f.Proof, err = json.Marshal(map[string]string{"document": got[2], "signature": got[3]})
	return f, err
}

func (s server) google(ctx context.Context) (f File, err error) {
	const instance = "/computeMetadata/v1/instance/"
	got, err := s.all(ctx, instance+"attributes/taskcluster", instance+"id", instance+"zone")
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal([]byte(got[0]), &f); err != nil {
		return f, fault.New(fault.Invalid, "the metadata item taskcluster is no JSON")
	}
	f.WorkerID, f.WorkerGroup = got[1], path.Base(got[2])
	token, err := s.get(ctx, http.MethodGet, instance+"service-accounts/default/identity?format=full&audience="+url.QueryEscape(f.RootURL), nil)
	if err != nil {
		return f, err
	}
	f.Proof, err = json.Marshal(map[string]string{"token": token})
	return f, err
}

func (s server) azure(ctx context.Context) (f File, err error) {
	got, err := s.all(ctx, "/metadata/instance/compute?api-version=2021-02-01", "/metadata/attested/document?api-version=2021-02-01")
	if err != nil {
		return f, err
	}
	var machine struct {
		Name     string `json:"name"`
		TagsList []struct{ Name, Value string }
	}
	var attested struct{ Signature string }
	if err := json.Unmarshal([]byte(got[0]), &machine); err != nil {
		return f, err
	}
	if err := json.Unmarshal([]byte(got[1]), &attested); err != nil {
		return f, err
	}
	f.WorkerID = strings.ToLower(machine.Name)
	for _, tag := range machine.TagsList {
		switch tag.Name {
		case "root-url":
			f.RootURL = tag.Value
		case "provider-id":
			f.ProviderID = tag.Value
		case "worker-pool-id":
			f.WorkerPoolID = tag.Value
		case "worker-group":
			f.WorkerGroup = tag.Value
		}
	}
	f.Proof, err = json.Marshal(map[string]string{"document": attested.Signature})
	return f, err
}
