// Package aws is the provider of workers on Amazon EC2, one instance a worker (taskcluster-map 12.2). A
// launch's key is the client token of its request, so EC2 itself makes one instance a launch; it stands in the
// instance's tags too. Workers show the instance identity document, which EC2 signs.
package aws

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/provider/aws/identity"
)

// The tags of instances, besides those of the launch config.
const (
	tagLaunch = "treeline:launch"
	tagRoot   = "treeline:root-url"
)

// maxUserData is what EC2 takes, before base64.
const maxUserData = 16384

// Config says with which account instances are made.
type Config struct {
	Type               string            `yaml:"type"`
	AccessKeyID        string            `yaml:"accessKeyId"`
	SecretAccessKey    string            `yaml:"secretAccessKey"`    // or the next
	SecretAccessKeyEnv string            `yaml:"secretAccessKeyEnv"` // a variable of the environment that holds it
	InstanceRole       bool              `yaml:"instanceRole"`       // instead of a key: the role of the instance that the server runs on
	Metadata           string            `yaml:"metadataUrl"`        // of that instance, where it is not EC2's own
	Certificates       map[string]string `yaml:"certificates"`       // by region, in PEM: with which EC2 signs identity documents
	Endpoint           string            `yaml:"endpoint"`           // of EC2, instead of the region's own

	ProviderID string       `yaml:"-"`
	RootURL    string       `yaml:"-"`
	HTTP       *http.Client `yaml:"-"`
}

// Provider makes instances. It is safe for concurrent use.
type Provider struct {
	Config
	certificates map[string]*x509.Certificate
	signer       aws.CredentialsProvider

	mu      sync.Mutex
	regions map[string]calls
}

// calls are what is asked of EC2 in a region. They stand as functions, for a client that can be reached from a
// value in an interface keeps its 700 other methods in the program: 50 MB.
type calls struct {
	run       func(context.Context, *ec2.RunInstancesInput, ...func(*ec2.Options)) (*ec2.RunInstancesOutput, error)
	describe  func(context.Context, *ec2.DescribeInstancesInput, ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error)
	terminate func(context.Context, *ec2.TerminateInstancesInput, ...func(*ec2.Options)) (*ec2.TerminateInstancesOutput, error)
}

var regionPattern = regexp.MustCompile(`^[a-z0-9-]+$`)

// isRegion reports whether a name can be one of a region: of at most 38 bytes, which a pattern would be long for.
func isRegion(name string) bool { return len(name) <= 38 && regionPattern.MatchString(name) }

// New returns a provider; nobody is asked anything before there is something to do.
func New(c Config) (*Provider, error) {
	if c.SecretAccessKeyEnv != "" {
		c.SecretAccessKey = os.Getenv(c.SecretAccessKeyEnv)
	}
	keyed := c.AccessKeyID != "" && c.SecretAccessKey != ""
	if keyed == c.InstanceRole {
		return nil, fault.New(fault.Invalid, "either accessKeyId and secretAccessKey (or secretAccessKeyEnv) are needed, or instanceRole: true")
	}
	p := &Provider{Config: c, certificates: map[string]*x509.Certificate{}, regions: map[string]calls{}, signer: c.credentials()}
	for region, text := range c.Certificates {
		block, _ := pem.Decode([]byte(text))
		if block == nil || !isRegion(region) {
			return nil, fault.New(fault.Invalid, "certificates: that of %q is no PEM", region)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fault.New(fault.Invalid, "certificates: that of %s: %v", region, err)
		}
		p.certificates[region] = cert
	}
	if len(p.certificates) == 0 {
		return nil, fault.New(fault.Invalid, "certificates are missing: for each region the certificate with which EC2 signs identity documents there, from its documentation")
	}
	return p, nil
}

// Type implements provider.Provider.
func (p *Provider) Type() string { return "aws" }

// launchConfig is what a launch config says.
type launchConfig struct {
	Region             string          `json:"region"`
	LaunchConfig       json.RawMessage `json:"launchConfig"` // of RunInstances
	AdditionalUserData map[string]any  `json:"additionalUserData"`
}

// Check implements provider.Provider.
func (p *Provider) Check(config json.RawMessage) error {
	var c struct {
		LaunchConfigs []launchConfig `json:"launchConfigs"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return fault.New(fault.BadInput, "The config cannot be used: %v.", err)
	}
	for i, l := range c.LaunchConfigs {
		if p.certificates[l.Region] == nil {
			return fault.New(fault.BadInput, "config.launchConfigs.%d.region: the provider has no certificate of region %q; its workers could not register.", i, l.Region)
		}
		if _, err := request(l); err != nil {
			return fault.New(fault.BadInput, "config.launchConfigs.%d.launchConfig: %v", i, err)
		}
	}
	return nil
}

// request reads what is to be asked of RunInstances.
func request(l launchConfig) (*ec2.RunInstancesInput, error) {
	dec := json.NewDecoder(strings.NewReader(string(l.LaunchConfig)))
	dec.DisallowUnknownFields()
	var in ec2.RunInstancesInput
	if err := dec.Decode(&in); err != nil {
		return nil, err
	}
	return &in, nil
}

// region returns the calls of a region.
func (p *Provider) region(region string) (calls, error) {
	if !isRegion(region) {
		return calls{}, fault.New(fault.Invalid, "aws: %q is no region", region)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.regions[region].run == nil {
		o := ec2.Options{Region: region, Credentials: p.signer}
		if p.HTTP != nil {
			o.HTTPClient = p.HTTP
		}
		if p.Endpoint != "" {
			o.BaseEndpoint = &p.Endpoint
		}
		api := ec2.New(o)
		p.regions[region] = calls{api.RunInstances, api.DescribeInstances, api.TerminateInstances}
	}
	return p.regions[region], nil
}

// data is what is remembered of an instance: its identity document must agree.
type data struct {
	Owner        string `json:"owner"` // account
	Image        string `json:"imageId"`
	Type         string `json:"instanceType"`
	PrivateIP    string `json:"privateIp"`
	Architecture string `json:"architecture"`
}

// Launch implements provider.Scaler.
func (p *Provider) Launch(ctx context.Context, l provider.Launch) (provider.Instance, error) {
	var c launchConfig
	if err := json.Unmarshal(l.Config, &c); err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	in, err := p.input(l, c)
	if err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	api, err := p.region(c.Region)
	if err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	out, err := api.run(ctx, in)
	if err != nil {
		return provider.Instance{}, kind(fmt.Errorf("aws: RunInstances in %s: %w", c.Region, err))
	}
	if len(out.Instances) != 1 {
		return provider.Instance{}, fault.New(fault.Internal, "aws: RunInstances made %d instances", len(out.Instances))
	}
	i := out.Instances[0]
	remembered, err := json.Marshal(data{aws.ToString(out.OwnerId), aws.ToString(i.ImageId), string(i.InstanceType), aws.ToString(i.PrivateIpAddress), string(i.Architecture)})
	return provider.Instance{Group: c.Region, ID: aws.ToString(i.InstanceId), Key: l.Key, Data: remembered}, err
}

// input is the request for an instance.
func (p *Provider) input(l provider.Launch, c launchConfig) (*ec2.RunInstancesInput, error) {
	in, err := request(c)
	if err != nil {
		return nil, err
	}
	words := maps.Clone(c.AdditionalUserData)
	if words == nil {
		words = map[string]any{}
	}
	words["rootUrl"], words["workerPoolId"], words["providerId"], words["workerGroup"] = l.RootURL, l.WorkerPoolID, l.ProviderID, c.Region
	text, err := json.Marshal(words)
	if err != nil {
		return nil, err
	}
	if len(text) > maxUserData {
		return nil, fault.New(fault.Invalid, "the user data has %d bytes, more than %d", len(text), maxUserData)
	}
	in.UserData, in.ClientToken = aws.String(base64.StdEncoding.EncodeToString(text)), aws.String(l.Key)
	in.MinCount, in.MaxCount = aws.Int32(1), aws.Int32(1)
	tags := []types.Tag{
		tag("CreatedBy", "taskcluster-wm-"+l.ProviderID), tag("ManagedBy", "taskcluster"), tag("Owner", l.Owner),
		tag("Name", l.WorkerPoolID), tag("WorkerPoolId", l.WorkerPoolID), tag(tagLaunch, l.Key), tag(tagRoot, p.RootURL),
	}
	for _, kind := range []types.ResourceType{types.ResourceTypeInstance, types.ResourceTypeVolume} {
		in.TagSpecifications = withTags(in.TagSpecifications, kind, tags)
	}
	return in, nil
}

func tag(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }

// withTags adds tags for a kind of resource; ours win.
func withTags(specs []types.TagSpecification, kind types.ResourceType, tags []types.Tag) []types.TagSpecification {
	ours := map[string]bool{}
	for _, t := range tags {
		ours[*t.Key] = true
	}
	for i := range specs {
		if specs[i].ResourceType != kind {
			continue
		}
		all := append([]types.Tag(nil), tags...)
		for _, t := range specs[i].Tags {
			if !ours[aws.ToString(t.Key)] {
				all = append(all, t)
			}
		}
		specs[i].Tags = all
		return specs
	}
	return append(specs, types.TagSpecification{ResourceType: kind, Tags: tags})
}

// kind marks errors that mean that nothing was made, and that the same again is in vain for a while.
func kind(err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return err
	}
	code := api.ErrorCode()
	if strings.HasPrefix(code, "Throttl") || strings.Contains(code, "LimitExceeded") && strings.HasPrefix(code, "Request") {
		return err
	}
	if code == "InsufficientInstanceCapacity" || code == "InsufficientHostCapacity" {
		return errors.Join(provider.ErrRefused, err)
	}
	if r, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && r.HTTPStatusCode() >= 400 && r.HTTPStatusCode() < 500 {
		return errors.Join(provider.ErrRefused, err)
	}
	return err
}

// Look implements provider.Scaler.
func (p *Provider) Look(ctx context.Context, list []provider.Instance) ([]provider.Health, error) {
	ids := map[string][]string{}
	for _, i := range list {
		ids[i.Group] = append(ids[i.Group], i.ID)
	}
	states := map[string]types.InstanceStateName{}
	for region, wanted := range ids {
		err := p.each(ctx, region, []types.Filter{{Name: aws.String("instance-id"), Values: wanted}}, func(i *types.Instance) {
			if i.State != nil {
				states[region+" "+aws.ToString(i.InstanceId)] = i.State.Name
			}
		})
		if err != nil {
			return nil, err
		}
	}
	out := make([]provider.Health, len(list))
	for n, i := range list {
		switch states[i.Group+" "+i.ID] {
		case types.InstanceStateNamePending:
			out[n] = provider.Starting
		case types.InstanceStateNameRunning:
			out[n] = provider.Running
		case types.InstanceStateNameStopping, types.InstanceStateNameStopped, types.InstanceStateNameShuttingDown:
			out[n] = provider.Stopping
		case types.InstanceStateNameTerminated:
		}
	}
	return out, nil
}

// each calls f for the instances of a region that filters let through.
func (p *Provider) each(ctx context.Context, region string, filters []types.Filter, f func(*types.Instance)) error {
	api, err := p.region(region)
	if err != nil {
		return err
	}
	for token := (*string)(nil); ; {
		page, err := api.describe(ctx, &ec2.DescribeInstancesInput{Filters: filters, NextToken: token})
		if err != nil {
			return fmt.Errorf("aws: DescribeInstances in %s: %w", region, err)
		}
		for r := range page.Reservations {
			for i := range page.Reservations[r].Instances {
				f(&page.Reservations[r].Instances[i])
			}
		}
		if token = page.NextToken; aws.ToString(token) == "" {
			return nil
		}
	}
}

// Stop implements provider.Scaler.
func (p *Provider) Stop(ctx context.Context, i provider.Instance) error {
	api, err := p.region(i.Group)
	if err != nil {
		return err
	}
	_, err = api.terminate(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{i.ID}})
	if e, ok := errors.AsType[smithy.APIError](err); ok && e.ErrorCode() == "InvalidInstanceID.NotFound" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("aws: TerminateInstances %s: %w", i.ID, err)
	}
	return nil
}

// List implements provider.Scaler.
func (p *Provider) List(ctx context.Context, configs []json.RawMessage) ([]provider.Found, error) {
	regions := map[string]bool{}
	for _, text := range configs {
		var c launchConfig
		if err := json.Unmarshal(text, &c); err == nil && c.Region != "" {
			regions[c.Region] = true
		}
	}
	filters := []types.Filter{
		{Name: aws.String("tag:" + tagRoot), Values: []string{p.RootURL}},
		{Name: aws.String("tag:CreatedBy"), Values: []string{"taskcluster-wm-" + p.ProviderID}},
		{Name: aws.String("instance-state-name"), Values: []string{"pending", "running", "stopping", "stopped"}},
	}
	var found []provider.Found
	for region := range regions {
		err := p.each(ctx, region, filters, func(i *types.Instance) {
			f := provider.Found{Instance: provider.Instance{Group: region, ID: aws.ToString(i.InstanceId)}, Created: aws.ToTime(i.LaunchTime)}
			for _, t := range i.Tags {
				if aws.ToString(t.Key) == tagLaunch {
					f.Key = aws.ToString(t.Value)
				}
			}
			found = append(found, f)
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Verify implements provider.Provider.
func (p *Provider) Verify(_ context.Context, i provider.Instance, proof provider.Proof) error {
	cert := p.certificates[i.Group]
	if cert == nil {
		return fault.New(fault.Invalid, "the provider has no certificate of region %s", i.Group)
	}
	doc, err := identity.Verify(cert, proof.Content)
	if err != nil {
		return err
	}
	var known data
	if err := json.Unmarshal(i.Data, &known); err != nil {
		return err
	}
	for _, x := range []struct{ what, known, shown string }{
		{"instanceId", i.ID, doc.InstanceID}, {"region", i.Group, doc.Region}, {"accountId", known.Owner, doc.AccountID}, {"imageId", known.Image, doc.ImageID},
		{"instanceType", known.Type, doc.InstanceType}, {"privateIp", known.PrivateIP, doc.PrivateIP}, {"architecture", known.Architecture, doc.Architecture},
	} {
		if x.known != x.shown {
			return fault.New(fault.Invalid, "the document's %s is %q, the instance's %q", x.what, x.shown, x.known)
		}
	}
	return nil
}
