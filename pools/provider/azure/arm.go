package azure

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v6"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/pools/provider"
)

// deploymentsVersion is that of the API of deployments.
const deploymentsVersion = "2021-04-01"

// deployment is the armDeployment of a launch config: the properties of a deployment of Azure Resource Manager, with a
// template of its own or one by its id.
type deployment struct {
	Template *struct {
		Parameters map[string]json.RawMessage `json:"parameters"`
	} `json:"template"`
	TemplateLink json.RawMessage `json:"templateLink"`
	Parameters   map[string]struct {
		Value json.RawMessage `json:"value"`
	} `json:"parameters"`
}

// Parameters that we give a template. It must take the first, and make a machine of that name; the others it gets if
// it declares them. What a template of a link declares is not known: it gets the first alone.
const (
	armName = "vmName"
	armData = "customData" // base64 of what the worker registers with
	armTags = "tags"       // an object
)

// deployable reads a launch config with an armDeployment.
func deployable(c *launchConfig) error {
	var d deployment
	if err := json.Unmarshal(c.ARMDeployment, &d); err != nil {
		return fmt.Errorf("armDeployment: %w", err)
	}
	if (d.Template == nil) == (len(d.TemplateLink) == 0) {
		return errors.New("armDeployment: either template or templateLink is needed")
	}
	if d.Template != nil && len(d.Template.Parameters[armName]) == 0 {
		return fmt.Errorf("armDeployment.template: must take the parameter %s, and make a virtual machine of that name", armName)
	}
	if json.Unmarshal(d.Parameters["location"].Value, &c.Location) != nil || c.Location == "" {
		return errors.New("armDeployment.parameters.location: must be a location's name")
	}
	return nil
}

// api sends what the package of machines has no calls for.
func (p *Provider) api(ctx context.Context, method, group, name string, body any) (status int, answer []byte, err error) {
	client, err := p.deployments()
	if err != nil {
		return 0, nil, fmt.Errorf("azure: %w", err)
	}
	address := runtime.JoinPaths(client.Endpoint(), "/subscriptions/"+url.PathEscape(p.Subscription)+"/resourcegroups/"+url.PathEscape(group)+
		"/providers/Microsoft.Resources/deployments/"+url.PathEscape(name))
	req, err := runtime.NewRequest(ctx, method, address)
	if err != nil {
		return 0, nil, err
	}
	req.Raw().URL.RawQuery = url.Values{"api-version": {deploymentsVersion}}.Encode()
	if body != nil {
		if err := runtime.MarshalAsJSON(req, body); err != nil {
			return 0, nil, err
		}
	}
	resp, err := client.Pipeline().Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	if !runtime.HasStatusCode(resp, http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent) {
		return resp.StatusCode, nil, runtime.NewResponseError(resp)
	}
	answer, err = runtime.Payload(resp)
	return resp.StatusCode, answer, err
}

// deploy asks for the deployment. The machine comes later: Look sees to it.
func (p *Provider) deploy(ctx context.Context, c launchConfig, l provider.Launch, name string) (provider.Instance, error) {
	var properties map[string]json.RawMessage
	var d deployment
	if err := errors.Join(json.Unmarshal(c.ARMDeployment, &properties), json.Unmarshal(c.ARMDeployment, &d)); err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	tags := map[string]string{}
	for tag, value := range p.tags(c, l) {
		tags[tag] = *value
	}
	words, err := registration(c, l)
	if err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	ours := map[string]any{armName: name, armData: base64.StdEncoding.EncodeToString(words), armTags: tags}
	parameters := map[string]any{}
	if len(properties["parameters"]) > 0 {
		if err := json.Unmarshal(properties["parameters"], &parameters); err != nil {
			return provider.Instance{}, errors.Join(provider.ErrRefused, err)
		}
	}
	for parameter, value := range ours {
		if parameter == armName || d.Template != nil && len(d.Template.Parameters[parameter]) > 0 {
			parameters[parameter] = map[string]any{"value": value}
		}
	}
	if properties["parameters"], err = json.Marshal(parameters); err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	if len(properties["mode"]) == 0 {
		properties["mode"] = json.RawMessage(`"Incremental"`)
	}
	group := p.ResourceGroup
	if c.ARMGroup != "" {
		group = c.ARMGroup
	}
	// What was asked for by an earlier call, whose answer was lost, is not asked for again.
	if status, _, err := p.api(ctx, http.MethodGet, group, name, nil); status == http.StatusNotFound {
		if _, _, err := p.api(ctx, http.MethodPut, group, name, map[string]any{"properties": properties}); err != nil {
			return provider.Instance{}, kind(fmt.Errorf("azure: deploy %s: %w", name, err))
		}
	} else if err != nil {
		return provider.Instance{}, kind(fmt.Errorf("azure: get deployment %s: %w", name, err))
	}
	remembered, err := json.Marshal(data{Group: group, Deployed: true, Keep: c.WorkerManager.KeepDeployment, Tags: tags})
	return provider.Instance{Group: c.Location, ID: name, Key: l.Key, Data: remembered}, err
}

// pending tells how a deployment is of which there is no machine.
func (p *Provider) pending(ctx context.Context, known data, name string) (provider.Health, error) {
	state, err := p.deploymentState(ctx, known.Group, name)
	switch {
	case err != nil:
		return provider.Gone, err
	case state == "" || state == "Failed" || state == "Canceled" || state == "Succeeded":
		return provider.Gone, nil // it makes none any more
	}
	return provider.Starting, nil
}

// deploymentState is a deployment's; "" for one that is not there.
func (p *Provider) deploymentState(ctx context.Context, group, name string) (string, error) {
	status, answer, err := p.api(ctx, http.MethodGet, group, name, nil)
	if status == http.StatusNotFound {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("azure: get deployment %s: %w", name, err)
	}
	var d struct {
		Properties struct {
			ProvisioningState string `json:"provisioningState"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(answer, &d); err != nil {
		return "", fmt.Errorf("azure: get deployment %s: %w", name, err)
	}
	return d.Properties.ProvisioningState, nil
}

// adopt makes a machine that a deployment made one like ours: with tags by which it is found, and with its disks and
// interfaces going with it. The record of the deployment goes, unless it is to be kept.
func (p *Provider) adopt(ctx context.Context, api *armcompute.VirtualMachinesClient, known data, m *armcompute.VirtualMachine, name string) error {
	if m.Tags[tagLaunch] != nil && m.Tags[tagAdopted] != nil {
		return nil
	}
	state, err := p.deploymentState(ctx, known.Group, name)
	if err != nil || state != "Succeeded" && state != "Failed" && state != "Canceled" && state != "" {
		return err // it is still at it
	}
	update := armcompute.VirtualMachineUpdate{Tags: map[string]*string{tagAdopted: to.Ptr("true")}, Properties: &armcompute.VirtualMachineProperties{}}
	for tag, value := range m.Tags {
		update.Tags[tag] = value
	}
	for tag, value := range known.Tags {
		update.Tags[tag] = to.Ptr(value)
	}
	if m.Properties != nil {
		update.Properties.StorageProfile, update.Properties.NetworkProfile = m.Properties.StorageProfile, m.Properties.NetworkProfile
	}
	if s := update.Properties.StorageProfile; s != nil {
		if s.OSDisk != nil {
			s.OSDisk.DeleteOption = to.Ptr(armcompute.DiskDeleteOptionTypesDelete)
		}
		for _, disk := range s.DataDisks {
			disk.DeleteOption = to.Ptr(armcompute.DiskDeleteOptionTypesDelete)
		}
	}
	if n := update.Properties.NetworkProfile; n != nil {
		for _, i := range n.NetworkInterfaces {
			if i.Properties == nil {
				i.Properties = &armcompute.NetworkInterfaceReferenceProperties{}
			}
			i.Properties.DeleteOption = to.Ptr(armcompute.DeleteOptionsDelete)
		}
	}
	if _, err := api.BeginUpdate(ctx, known.Group, name, update, nil); err != nil {
		return fmt.Errorf("azure: update %s: %w", name, err)
	}
	if known.Keep || state == "" {
		return nil
	}
	if status, _, err := p.api(ctx, http.MethodDelete, known.Group, name, nil); err != nil && status != http.StatusNotFound {
		return fmt.Errorf("azure: delete deployment %s: %w", name, err)
	}
	return nil
}

// undeploy stops a deployment before there is a machine.
func (p *Provider) undeploy(ctx context.Context, known data, name string) error {
	status, _, err := p.api(ctx, http.MethodPost, known.Group, name+"/cancel", nil)
	if err != nil && status != http.StatusNotFound && status != http.StatusConflict { // it has ended
		return fmt.Errorf("azure: cancel deployment %s: %w", name, err)
	}
	return nil
}

// identityOf is the vmId of a machine that a deployment made.
func (p *Provider) identityOf(ctx context.Context, known data, name string) (string, error) {
	api, err := p.machines()
	if err != nil {
		return "", fmt.Errorf("azure: %w", err)
	}
	found, err := api.Get(ctx, known.Group, name, nil)
	if err != nil {
		return "", fmt.Errorf("azure: get %s: %w", name, err)
	}
	if found.Properties == nil || deref(found.Properties.VMID) == "" {
		return "", fault.New(fault.Unavailable, "azure: %s has no vmId yet", name)
	}
	return *found.Properties.VMID, nil
}

// newDeployments makes a client for deployments.
func (p *Provider) newDeployments(options *arm.ClientOptions) (*arm.Client, error) {
	return arm.NewClient("treeline", "v1.0.0", p.credential(), options)
}
