// Package azure is the provider of workers on Azure, one virtual machine a worker (taskcluster-map 12.2). A
// machine is named after its launch, so the resource group itself holds one a launch. Network interface,
// address and disks are made with the machine and go with it: one call makes all, one call removes all.
// Workers show the attested data of their machine, which Microsoft signs.
package azure

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v6"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/provider/azure/attested"
)

const (
	tagLaunch = "treeline-launch"
	tagRoot   = "treeline-root-url"
	// tagAdopted is on machines that a deployment made, once they are like ours.
	tagAdopted = "treeline-adopted"
	// windowsName is the most characters that Windows takes as a machine's name.
	windowsName = 15
	looksAtOnce = 8
)

// Config says with which account machines are made, and where.
type Config struct {
	Type            string `yaml:"type"`
	Subscription    string `yaml:"subscriptionId"`
	ResourceGroup   string `yaml:"resourceGroup"`
	Tenant          string `yaml:"tenantId"`
	ClientID        string `yaml:"clientId"`
	ClientSecret    string `yaml:"clientSecret"`    // or the next
	ClientSecretEnv string `yaml:"clientSecretEnv"` // a variable of the environment that holds it
	Endpoint        string `yaml:"endpoint"`        // of Azure Resource Manager, instead of Microsoft's
	TokenURL        string `yaml:"tokenUrl"`        // where credentials are got, instead of Microsoft's
	Roots           string `yaml:"rootCertificates"`
	Intermediates   string `yaml:"intermediateCertificates"` // both in PEM: what attested data is signed under; the machine's own roots when empty

	ProviderID string       `yaml:"-"`
	RootURL    string       `yaml:"-"`
	Secret     []byte       `yaml:"-"` // passwords of machines are made with it; nobody gets to know them
	HTTP       *http.Client `yaml:"-"`
}

// Provider makes machines. It is safe for concurrent use.
type Provider struct {
	Config
	machines    func() (*armcompute.VirtualMachinesClient, error)
	deployments func() (*arm.Client, error)
	attested    *attested.Verifier
}

// New returns a provider; nobody is asked anything before there is something to do.
func New(c Config) (*Provider, error) {
	if c.ClientSecretEnv != "" {
		c.ClientSecret = os.Getenv(c.ClientSecretEnv)
	}
	for name, value := range map[string]string{"subscriptionId": c.Subscription, "resourceGroup": c.ResourceGroup, "tenantId": c.Tenant, "clientId": c.ClientID, "clientSecret": c.ClientSecret} {
		if value == "" {
			return nil, fault.New(fault.Invalid, "%s is missing", name)
		}
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: time.Minute}
	}
	p := &Provider{Config: c}
	var err error
	if p.attested, err = attested.New([]byte(c.Roots), []byte(c.Intermediates), c.HTTP); err != nil {
		return nil, err
	}
	options := arm.ClientOptions{ClientOptions: policy.ClientOptions{Transport: c.HTTP}, DisableRPRegistration: true}
	if c.Endpoint != "" {
		options.Cloud = cloud.Configuration{Services: map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: c.Endpoint, Audience: c.Endpoint}}}
		options.InsecureAllowCredentialWithHTTP = strings.HasPrefix(c.Endpoint, "http://")
	}
	p.machines = sync.OnceValues(func() (*armcompute.VirtualMachinesClient, error) {
		return armcompute.NewVirtualMachinesClient(c.Subscription, p.credential(), &options)
	})
	p.deployments = sync.OnceValues(func() (*arm.Client, error) { return p.newDeployments(&options) })
	return p, nil
}

// credential signs in with the account's secret.
type credential struct {
	config clientcredentials.Config
	http   *http.Client

	mu  sync.Mutex
	now *oauth2.Token
}

func (p *Provider) credential() *credential {
	address := p.TokenURL
	if address == "" {
		address = "https://login.microsoftonline.com/" + p.Tenant + "/oauth2/v2.0/token"
	}
	return &credential{http: p.HTTP, config: clientcredentials.Config{
		ClientID: p.ClientID, ClientSecret: p.ClientSecret, TokenURL: address, AuthStyle: oauth2.AuthStyleInParams,
	}}
}

// GetToken implements azcore.TokenCredential.
func (c *credential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.now.Valid() {
		config := c.config
		config.Scopes = o.Scopes
		token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, c.http))
		if err != nil {
			return azcore.AccessToken{}, fmt.Errorf("azure: sign in: %w", err)
		}
		c.now = token
	}
	return azcore.AccessToken{Token: c.now.AccessToken, ExpiresOn: c.now.Expiry}, nil
}

// Type implements provider.Provider.
func (p *Provider) Type() string { return "azure" }

// launchConfig is what of a launch config is not Azure's.
type launchConfig struct {
	Location      string          `json:"location"`
	SubnetID      string          `json:"subnetId"`
	ARMDeployment json.RawMessage `json:"armDeployment"`
	ARMGroup      string          `json:"armDeploymentResourceGroup"`
	Tags          map[string]any  `json:"tags"`
	WorkerManager struct {
		PublicIP       bool `json:"publicIp"`
		KeepDeployment bool `json:"keepDeployment"`
	} `json:"workerManager"`
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
		if _, _, err := machine(text); err != nil {
			return fault.New(fault.BadInput, "config.launchConfigs.%d: %v", i, err)
		}
	}
	return nil
}

// machine reads a launch config: what Azure knows of virtual machines, nil where a deployment makes it, and what is ours.
func machine(text json.RawMessage) (*armcompute.VirtualMachineProperties, launchConfig, error) {
	var c launchConfig
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, c, err
	}
	if len(c.ARMDeployment) > 0 {
		return nil, c, deployable(&c)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, c, err
	}
	known := map[string]json.RawMessage{}
	for _, name := range []string{"hardwareProfile", "storageProfile", "osProfile", "billingProfile", "priority", "evictionPolicy", "securityProfile", "diagnosticsProfile", "additionalCapabilities", "licenseType"} {
		if m, ok := members[name]; ok {
			known[name] = m
		}
	}
	rest, err := json.Marshal(known)
	if err != nil {
		return nil, c, err
	}
	var m armcompute.VirtualMachineProperties
	if err := json.Unmarshal(rest, &m); err != nil {
		return nil, c, err
	}
	if m.StorageProfile == nil || m.StorageProfile.OSDisk == nil || c.SubnetID == "" || c.Location == "" {
		return nil, c, errors.New("location, subnetId and storageProfile.osDisk are needed")
	}
	return &m, c, nil
}

// nameOf is a machine's name; ids of workers have 38 characters at most.
func nameOf(key string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil || len(b) != 16 {
		return "", fault.New(fault.Invalid, "azure: %q is no key of a launch", key)
	}
	return "vm-" + hex.EncodeToString(b), nil
}

// data is what is remembered of a machine. That of one by a deployment has no vmId: it is made later.
type data struct {
	VMID     string            `json:"vmId,omitempty"`
	Group    string            `json:"resourceGroup,omitempty"` // the provider's own when empty
	Deployed bool              `json:"deployed,omitempty"`
	Keep     bool              `json:"keepDeployment,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"` // that it is to get
}

// known is what is remembered of an instance.
func (p *Provider) known(i provider.Instance) (d data, err error) {
	if len(i.Data) > 0 {
		err = json.Unmarshal(i.Data, &d)
	}
	if d.Group == "" {
		d.Group = p.ResourceGroup
	}
	return d, err
}

// Launch implements provider.Scaler.
func (p *Provider) Launch(ctx context.Context, l provider.Launch) (provider.Instance, error) {
	m, c, err := machine(l.Config)
	if err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	name, err := nameOf(l.Key)
	if err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	if m == nil {
		return p.deploy(ctx, c, l, name)
	}
	if err := p.complete(m, c, l, name); err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	api, err := p.machines()
	if err != nil {
		return provider.Instance{}, fmt.Errorf("azure: %w", err)
	}
	// What was made by an earlier call, whose answer was lost, is not made again.
	there, err := api.Get(ctx, p.ResourceGroup, name, nil)
	if missing(err) {
		if _, err = api.BeginCreateOrUpdate(ctx, p.ResourceGroup, name, armcompute.VirtualMachine{Location: &c.Location, Tags: p.tags(c, l), Properties: m}, nil); err != nil {
			return provider.Instance{}, kind(fmt.Errorf("azure: make %s: %w", name, err))
		}
		there, err = api.Get(ctx, p.ResourceGroup, name, nil)
	}
	if err != nil {
		return provider.Instance{}, kind(fmt.Errorf("azure: get %s: %w", name, err))
	}
	if there.Properties == nil || there.Properties.VMID == nil {
		return provider.Instance{}, fault.New(fault.Unavailable, "azure: %s has no vmId yet", name)
	}
	remembered, err := json.Marshal(data{VMID: strings.ToLower(*there.Properties.VMID)})
	return provider.Instance{Group: c.Location, ID: name, Key: l.Key, Data: remembered}, err
}

func (p *Provider) tags(c launchConfig, l provider.Launch) map[string]*string {
	tags := map[string]*string{}
	for name, value := range c.Tags {
		if s, ok := value.(string); ok {
			tags[name] = &s
		}
	}
	for name, value := range map[string]string{
		"created-by": "taskcluster-wm-" + l.ProviderID, "managed-by": "taskcluster", "provider-id": l.ProviderID, "worker-pool-id": l.WorkerPoolID,
		"worker-group": c.Location, "root-url": l.RootURL, "owner": l.Owner, tagLaunch: l.Key, tagRoot: p.RootURL,
	} {
		tags[name] = to.Ptr(value)
	}
	return tags
}

// complete adds to a machine what is ours.
func (p *Provider) complete(m *armcompute.VirtualMachineProperties, c launchConfig, l provider.Launch, name string) error {
	words, err := registration(c, l)
	if err != nil {
		return err
	}
	if m.OSProfile == nil {
		m.OSProfile = &armcompute.OSProfile{}
	}
	o := m.OSProfile
	o.ComputerName, o.CustomData = to.Ptr(name[:windowsName]), to.Ptr(base64.StdEncoding.EncodeToString(words))
	if o.AdminUsername == nil {
		o.AdminUsername = to.Ptr("treeline")
	}
	if o.AdminPassword == nil {
		o.AdminPassword = to.Ptr(p.password(l.Key))
	}
	m.StorageProfile.OSDisk.DeleteOption = to.Ptr(armcompute.DiskDeleteOptionTypesDelete)
	for _, disk := range m.StorageProfile.DataDisks {
		disk.DeleteOption = to.Ptr(armcompute.DiskDeleteOptionTypesDelete)
	}
	address := &armcompute.VirtualMachineNetworkInterfaceIPConfigurationProperties{Primary: to.Ptr(true), Subnet: &armcompute.SubResource{ID: &c.SubnetID}}
	if c.WorkerManager.PublicIP {
		address.PublicIPAddressConfiguration = &armcompute.VirtualMachinePublicIPAddressConfiguration{
			Name:       to.Ptr(name + "-ip"),
			Properties: &armcompute.VirtualMachinePublicIPAddressConfigurationProperties{DeleteOption: to.Ptr(armcompute.DeleteOptionsDelete)},
		}
	}
	m.NetworkProfile = &armcompute.NetworkProfile{
		NetworkAPIVersion: to.Ptr(armcompute.NetworkAPIVersion("2020-11-01")),
		NetworkInterfaceConfigurations: []*armcompute.VirtualMachineNetworkInterfaceConfiguration{{
			Name: to.Ptr(name + "-nic"),
			Properties: &armcompute.VirtualMachineNetworkInterfaceConfigurationProperties{
				Primary: to.Ptr(true), DeleteOption: to.Ptr(armcompute.DeleteOptionsDelete),
				IPConfigurations: []*armcompute.VirtualMachineNetworkInterfaceIPConfiguration{{Name: to.Ptr("ip"), Properties: address}},
			},
		}},
	}
	return nil
}

// registration is what the worker needs to know to register.
func registration(c launchConfig, l provider.Launch) ([]byte, error) {
	return json.Marshal(map[string]string{"workerPoolId": l.WorkerPoolID, "providerId": l.ProviderID, "workerGroup": c.Location, "rootUrl": l.RootURL})
}

// password is a machine's own: the same when it is asked for again.
func (p *Provider) password(key string) string {
	sum := hmac.New(sha256.New, p.Secret)
	sum.Write([]byte("azure password " + key))
	return "Aa1-" + base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

func missing(err error) bool {
	e, ok := errors.AsType[*azcore.ResponseError](err)
	return ok && e.StatusCode == http.StatusNotFound
}

// kind marks errors that mean that nothing was made, and that the same again is in vain for a while.
func kind(err error) error {
	e, ok := errors.AsType[*azcore.ResponseError](err)
	if ok && e.StatusCode >= 400 && e.StatusCode < 500 && e.StatusCode != http.StatusTooManyRequests && e.StatusCode != http.StatusUnauthorized {
		return errors.Join(provider.ErrRefused, err)
	}
	return err
}

// Verify implements provider.Provider: the document is Microsoft's, and of that very machine.
func (p *Provider) Verify(ctx context.Context, i provider.Instance, proof provider.Proof) error {
	doc, err := p.attested.Verify(ctx, proof.Content, time.Now())
	if err != nil {
		return err
	}
	known, err := p.known(i)
	if err == nil && known.Deployed {
		known.VMID, err = p.identityOf(ctx, known, i.ID)
		known.VMID = strings.ToLower(known.VMID)
	}
	if err != nil {
		return err
	}
	if known.VMID == "" || strings.ToLower(doc.VMID) != known.VMID {
		return fault.New(fault.Invalid, "the document is of machine %q, not of %q", doc.VMID, known.VMID)
	}
	if !strings.EqualFold(doc.SubscriptionID, p.Subscription) {
		return fault.New(fault.Invalid, "the document is of subscription %q", doc.SubscriptionID)
	}
	return nil
}
