// Package gcp is the provider of workers on Google Compute Engine, one instance a worker (taskcluster-map
// 12.2). An instance is named after its launch, so the zone itself makes one instance a launch. Workers show
// the instance identity token, which Google signs.
package gcp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"
	"google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/pools/provider"
)

const (
	issuer     = "https://accounts.google.com"
	keysURL    = "https://www.googleapis.com/oauth2/v3/certs"
	tokenURL   = "https://oauth2.googleapis.com/token"
	metadata   = "taskcluster" // the metadata item that tells an instance whose it is
	opWait     = 60 * time.Second
	labelKey   = "treeline-launch"
	labelRoot  = "treeline-server"
	labelOwner = "created-by"
)

// Config says in which project instances are made, and with what account.
type Config struct {
	Type            string `yaml:"type"`
	Project         string `yaml:"project"`
	CredentialsFile string `yaml:"credentialsFile"`        // key of a service account, in JSON
	WorkerAccount   string `yaml:"workerServiceAccount"`   // e-mail address of the account that instances run as; "" for none
	WorkerAccountID string `yaml:"workerServiceAccountId"` // its number, which identity tokens must name when given
	Endpoint        string `yaml:"endpoint"`               // of Compute Engine, instead of Google's
	KeysURL         string `yaml:"keysUrl"`                // of the keys that identity tokens are signed with, instead of Google's

	ProviderID string       `yaml:"-"`
	RootURL    string       `yaml:"-"`
	HTTP       *http.Client `yaml:"-"` // signed in; nil: with the service account's key
}

// Provider makes instances. It is safe for concurrent use.
type Provider struct {
	Config
	service func() (calls, error)
	keys    func() oidc.KeySet
}

// calls are what is asked of Compute Engine. They stand as functions, for a service that can be reached from a
// value in an interface keeps all that it could do in the program.
type calls struct {
	insert func(ctx context.Context, zone, requestID string, in *compute.Instance) (*compute.Operation, error)
	get    func(ctx context.Context, zone, name string) (*compute.Instance, error)
	remove func(ctx context.Context, zone, name string) error
	wait   func(ctx context.Context, zone, operation string) (*compute.Operation, error)
	list   func(ctx context.Context, zone, filter string, page func(*compute.InstanceList) error) error
}

func newCalls(s *compute.Service, project string) calls {
	return calls{
		insert: func(ctx context.Context, zone, requestID string, in *compute.Instance) (*compute.Operation, error) {
			return s.Instances.Insert(project, zone, in).RequestId(requestID).Context(ctx).Do()
		},
		get: func(ctx context.Context, zone, name string) (*compute.Instance, error) {
			return s.Instances.Get(project, zone, name).Context(ctx).Do()
		},
		remove: func(ctx context.Context, zone, name string) error {
			_, err := s.Instances.Delete(project, zone, name).Context(ctx).Do()
			return err
		},
		wait: func(ctx context.Context, zone, operation string) (*compute.Operation, error) {
			return s.ZoneOperations.Wait(project, zone, operation).Context(ctx).Do()
		},
		list: func(ctx context.Context, zone, filter string, page func(*compute.InstanceList) error) error {
			return s.Instances.List(project, zone).Filter(filter).Context(ctx).Pages(ctx, page)
		},
	}
}

// account is what of a service account's key file is needed.
type account struct {
	Email      string `json:"client_email"`
	PrivateKey string `json:"private_key"`
	KeyID      string `json:"private_key_id"`
	TokenURI   string `json:"token_uri"`
}

// New returns a provider; nobody is asked anything before there is something to do.
func New(ctx context.Context, c Config) (*Provider, error) {
	if c.Project == "" {
		return nil, fault.New(fault.Invalid, "project is missing")
	}
	client := c.HTTP
	ctx = context.WithoutCancel(ctx)
	if client == nil {
		data, err := os.ReadFile(c.CredentialsFile)
		if err != nil {
			return nil, fault.New(fault.Invalid, "credentialsFile: %v", err)
		}
		a := account{TokenURI: tokenURL}
		if err := json.Unmarshal(data, &a); err != nil || a.PrivateKey == "" {
			return nil, fault.New(fault.Invalid, "credentialsFile %s is no key of a service account", c.CredentialsFile)
		}
		conf := jwt.Config{Email: a.Email, PrivateKey: []byte(a.PrivateKey), PrivateKeyID: a.KeyID, TokenURL: a.TokenURI, Scopes: []string{compute.ComputeScope}}
		client = oauth2.NewClient(ctx, conf.TokenSource(ctx))
	}
	if c.KeysURL == "" {
		c.KeysURL = keysURL
	}
	p := &Provider{Config: c}
	p.service = sync.OnceValues(func() (calls, error) {
		options := []option.ClientOption{option.WithHTTPClient(client)}
		if c.Endpoint != "" {
			options = append(options, option.WithEndpoint(c.Endpoint))
		}
		service, err := compute.NewService(ctx, options...)
		if err != nil {
			return calls{}, err
		}
		return newCalls(service, c.Project), nil
	})
	p.keys = sync.OnceValue(func() oidc.KeySet { return oidc.NewRemoteKeySet(ctx, c.KeysURL) })
	return p, nil
}

// Type implements provider.Provider.
func (p *Provider) Type() string { return "google" }

// place is where a launch config's instances are.
type place struct {
	Region string `json:"region"`
	Zone   string `json:"zone"`
}

// Check implements provider.Provider.
func (p *Provider) Check(config json.RawMessage) error {
	var c struct {
		LaunchConfigs []json.RawMessage `json:"launchConfigs"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return fault.New(fault.BadInput, "The config cannot be used: %v.", err)
	}
	for i, text := range c.LaunchConfigs {
		if _, at, err := instance(text); err != nil || !strings.HasPrefix(at.Zone, at.Region) {
			return fault.New(fault.BadInput, "config.launchConfigs.%d: zone %q of region %q cannot be used: %v", i, at.Zone, at.Region, err)
		}
	}
	return nil
}

// instance reads what a launch config says of the instance: all that Compute Engine knows.
func instance(text json.RawMessage) (*compute.Instance, place, error) {
	var at place
	var i compute.Instance
	if err := json.Unmarshal(text, &at); err != nil {
		return nil, at, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, at, err
	}
	for _, ours := range []string{"region", "zone", "workerConfig", "workerManager", "capacityPerInstance"} {
		delete(members, ours)
	}
	rest, err := json.Marshal(members)
	if err != nil {
		return nil, at, err
	}
	return &i, at, json.Unmarshal(rest, &i)
}

// raw are the bytes of a launch's key.
func raw(key string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil || len(b) != 16 {
		return nil, fault.New(fault.Invalid, "gcp: %q is no key of a launch", key)
	}
	return b, nil
}

// server is this server as a label can have it.
func (p *Provider) server() string {
	sum := sha256.Sum256([]byte(p.RootURL + " " + p.ProviderID))
	return hex.EncodeToString(sum[:10])
}

// label makes of text what a label's value can be.
func label(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(text))
	return clean[:min(len(clean), 63)]
}

// data is what is remembered of an instance.
type data struct {
	Name    string `json:"name"`
	Project string `json:"project"`
}

// Launch implements provider.Scaler.
func (p *Provider) Launch(ctx context.Context, l provider.Launch) (provider.Instance, error) {
	in, at, err := instance(l.Config)
	if err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	id, err := raw(l.Key)
	if err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	if err := p.complete(in, l, at, id); err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	api, err := p.service()
	if err != nil {
		return provider.Instance{}, fmt.Errorf("gcp: %w", err)
	}
	made := provider.Instance{Group: at.Zone, Key: l.Key}
	if made.Data, err = json.Marshal(data{in.Name, p.Project}); err != nil {
		return provider.Instance{}, err
	}
	op, err := api.insert(ctx, at.Zone, uuid(id), in)
	if e, ok := errors.AsType[*googleapi.Error](err); ok && e.Code == http.StatusConflict {
		// Made by an earlier call, whose answer was lost.
		there, err := api.get(ctx, at.Zone, in.Name)
		if err != nil {
			return provider.Instance{}, fmt.Errorf("gcp: get %s: %w", in.Name, err)
		}
		made.ID = strconv.FormatUint(there.Id, 10)
		return made, nil
	}
	if err != nil {
		return provider.Instance{}, kind(fmt.Errorf("gcp: insert into %s: %w", at.Zone, err))
	}
	made.ID = strconv.FormatUint(op.TargetId, 10)
	return made, p.wait(ctx, api, at.Zone, op)
}

// wait finds out whether there is room and quota for an instance, as far as that shows soon.
func (p *Provider) wait(ctx context.Context, api calls, zone string, op *compute.Operation) error {
	ctx, cancel := context.WithTimeout(ctx, opWait)
	defer cancel()
	for op.Status != "DONE" {
		next, err := api.wait(ctx, zone, op.Name)
		if err != nil || ctx.Err() != nil {
			return nil // it goes on by itself; Look will tell
		}
		op = next
	}
	if op.Error == nil || len(op.Error.Errors) == 0 {
		return nil
	}
	e := op.Error.Errors[0]
	return errors.Join(provider.ErrRefused, fmt.Errorf("gcp: insert into %s: %s: %s", zone, e.Code, e.Message))
}

// complete adds to an instance what is ours.
func (p *Provider) complete(in *compute.Instance, l provider.Launch, at place, id []byte) error {
	in.Name = "w-" + hex.EncodeToString(id)
	if in.Labels == nil {
		in.Labels = map[string]string{}
	}
	for name, value := range map[string]string{
		labelOwner: label("taskcluster-wm-" + l.ProviderID), "managed-by": "taskcluster", "worker-pool-id": label(l.WorkerPoolID), "owner": label(l.Owner),
		labelKey: hex.EncodeToString(id), labelRoot: p.server(),
	} {
		in.Labels[name] = value
	}
	words, err := json.Marshal(map[string]string{"workerPoolId": l.WorkerPoolID, "providerId": l.ProviderID, "workerGroup": at.Zone, "rootUrl": l.RootURL})
	if err != nil {
		return err
	}
	if in.Metadata == nil {
		in.Metadata = &compute.Metadata{}
	}
	text := string(words)
	in.Metadata.Items = append(in.Metadata.Items, &compute.MetadataItems{Key: metadata, Value: &text})
	if p.WorkerAccount != "" && len(in.ServiceAccounts) == 0 {
		in.ServiceAccounts = []*compute.ServiceAccount{{Email: p.WorkerAccount, Scopes: []string{"https://www.googleapis.com/auth/logging.write", "https://www.googleapis.com/auth/monitoring.write"}}}
	}
	return nil
}

// uuid writes 16 bytes as the request ids of Compute Engine are written.
func uuid(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// kind marks errors that mean that nothing was made, and that the same again is in vain for a while.
func kind(err error) error {
	e, ok := errors.AsType[*googleapi.Error](err)
	if !ok || e.Code < 400 || e.Code >= 500 || e.Code == http.StatusTooManyRequests || e.Code == http.StatusUnauthorized {
		return err
	}
	for _, x := range e.Errors {
		if strings.Contains(strings.ToLower(x.Reason), "ratelimit") {
			return err
		}
	}
	return errors.Join(provider.ErrRefused, err)
}

// instances lists this server's instances of a zone.
func (p *Provider) instances(ctx context.Context, zone string) (list []*compute.Instance, err error) {
	api, err := p.service()
	if err != nil {
		return nil, fmt.Errorf("gcp: %w", err)
	}
	err = api.list(ctx, zone, "labels."+labelRoot+"="+p.server(), func(page *compute.InstanceList) error {
		list = append(list, page.Items...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("gcp: list %s: %w", zone, err)
	}
	return list, nil
}

// Look implements provider.Scaler.
func (p *Provider) Look(ctx context.Context, list []provider.Instance) ([]provider.Health, error) {
	states := map[string]map[string]string{} // by zone and id
	for _, i := range list {
		if states[i.Group] != nil {
			continue
		}
		found, err := p.instances(ctx, i.Group)
		if err != nil {
			return nil, err
		}
		states[i.Group] = map[string]string{}
		for _, f := range found {
			states[i.Group][strconv.FormatUint(f.Id, 10)] = f.Status
		}
	}
	out := make([]provider.Health, len(list))
	for n, i := range list {
		switch states[i.Group][i.ID] {
		case "":
		case "PENDING", "PROVISIONING", "STAGING":
			out[n] = provider.Starting
		case "RUNNING":
			out[n] = provider.Running
		default: // STOPPING, STOPPED, SUSPENDING, SUSPENDED, TERMINATED, REPAIRING: it will not work again
			out[n] = provider.Stopping
		}
	}
	return out, nil
}

// Stop implements provider.Scaler.
func (p *Provider) Stop(ctx context.Context, i provider.Instance) error {
	api, err := p.service()
	if err != nil {
		return fmt.Errorf("gcp: %w", err)
	}
	id, err := raw(i.Key)
	if err != nil {
		return err
	}
	err = api.remove(ctx, i.Group, "w-"+hex.EncodeToString(id))
	if e, ok := errors.AsType[*googleapi.Error](err); ok && e.Code == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("gcp: delete %s: %w", i.ID, err)
	}
	return nil
}

// List implements provider.Scaler.
func (p *Provider) List(ctx context.Context, configs []json.RawMessage) ([]provider.Found, error) {
	zones := map[string]bool{}
	for _, text := range configs {
		var at place
		if err := json.Unmarshal(text, &at); err == nil && at.Zone != "" {
			zones[at.Zone] = true
		}
	}
	var found []provider.Found
	for zone := range zones {
		list, err := p.instances(ctx, zone)
		if err != nil {
			return nil, err
		}
		for _, i := range list {
			f := provider.Found{Instance: provider.Instance{Group: zone, ID: strconv.FormatUint(i.Id, 10)}}
			if b, err := hex.DecodeString(i.Labels[labelKey]); err == nil && len(b) == 16 {
				f.Key = slug.FromBytes([16]byte(b))
			}
			if at, err := time.Parse(time.RFC3339, i.CreationTimestamp); err == nil {
				f.Created = at
			}
			found = append(found, f)
		}
	}
	return found, nil
}

// Verify implements provider.Provider: the token is Google's, for this server, and of that very instance.
func (p *Provider) Verify(ctx context.Context, i provider.Instance, proof provider.Proof) error {
	var shown struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(proof.Content, &shown); err != nil {
		return err
	}
	token, err := oidc.NewVerifier(issuer, p.keys(), &oidc.Config{ClientID: proof.RootURL, SupportedSigningAlgs: []string{oidc.RS256}}).Verify(ctx, shown.Token)
	if err != nil {
		return err
	}
	var claims struct {
		Google struct {
			Engine struct {
				InstanceID string `json:"instance_id"`
				Project    string `json:"project_id"`
				Zone       string `json:"zone"`
			} `json:"compute_engine"`
		} `json:"google"`
	}
	if err := token.Claims(&claims); err != nil {
		return err
	}
	e := claims.Google.Engine
	switch {
	case e.InstanceID == "" || e.InstanceID != i.ID:
		return fault.New(fault.Invalid, "the token is of instance %q, not of %q", e.InstanceID, i.ID)
	case e.Project != p.Project || e.Zone != i.Group:
		return fault.New(fault.Invalid, "the token is of project %q and zone %q", e.Project, e.Zone)
	case p.WorkerAccountID != "" && token.Subject != p.WorkerAccountID:
		return fault.New(fault.Invalid, "the token is of account %q, not of the workers' %q", token.Subject, p.WorkerAccountID)
	}
	return nil
}
