package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v6"

	"github.com/treeline-ci/treeline/pools/provider"
)

// Look implements provider.Scaler.
func (p *Provider) Look(ctx context.Context, list []provider.Instance) ([]provider.Health, error) {
	api, err := p.machines()
	if err != nil {
		return nil, fmt.Errorf("azure: %w", err)
	}
	out, errs := make([]provider.Health, len(list)), make([]error, len(list))
	limit := make(chan struct{}, looksAtOnce)
	var all sync.WaitGroup
	for n, i := range list {
		limit <- struct{}{}
		all.Go(func() {
			defer func() { <-limit }()
			out[n], errs[n] = p.look(ctx, api, i)
		})
	}
	all.Wait()
	return out, errors.Join(errs...)
}

func (p *Provider) look(ctx context.Context, api *armcompute.VirtualMachinesClient, i provider.Instance) (provider.Health, error) {
	known, err := p.known(i)
	if err != nil {
		return provider.Gone, err
	}
	found, err := api.Get(ctx, known.Group, i.ID, &armcompute.VirtualMachinesClientGetOptions{Expand: to.Ptr(armcompute.InstanceViewTypesInstanceView)})
	switch {
	case missing(err) && known.Deployed:
		return p.pending(ctx, known, i.ID)
	case missing(err):
		return provider.Gone, nil
	case err != nil:
		return provider.Gone, fmt.Errorf("azure: get %s: %w", i.ID, err)
	case known.Deployed:
		err = p.adopt(ctx, api, known, &found.VirtualMachine, i.ID)
	}
	return health(&found.VirtualMachine), err
}

// health reads a machine's states: of its power, and, while that is not known, of its making.
func health(m *armcompute.VirtualMachine) provider.Health {
	if m.Properties == nil {
		return provider.Starting
	}
	if view := m.Properties.InstanceView; view != nil {
		for _, s := range view.Statuses {
			switch code := deref(s.Code); code {
			case "PowerState/running":
				return provider.Running
			case "PowerState/starting":
				return provider.Starting
			case "PowerState/stopping", "PowerState/stopped", "PowerState/deallocating", "PowerState/deallocated":
				return provider.Stopping
			}
		}
	}
	switch deref(m.Properties.ProvisioningState) {
	case "Failed", "Canceled", "Deleting":
		return provider.Stopping
	}
	return provider.Starting
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Stop implements provider.Scaler.
func (p *Provider) Stop(ctx context.Context, i provider.Instance) error {
	api, err := p.machines()
	if err != nil {
		return fmt.Errorf("azure: %w", err)
	}
	known, err := p.known(i)
	if err != nil {
		return err
	}
	if known.Deployed {
		if err := p.undeploy(ctx, known, i.ID); err != nil {
			return err
		}
	}
	_, err = api.BeginDelete(ctx, known.Group, i.ID, &armcompute.VirtualMachinesClientBeginDeleteOptions{ForceDeletion: to.Ptr(true)})
	if err != nil && !missing(err) {
		return fmt.Errorf("azure: delete %s: %w", i.ID, err)
	}
	return nil
}

// List implements provider.Scaler.
func (p *Provider) List(ctx context.Context, configs []json.RawMessage) ([]provider.Found, error) {
	api, err := p.machines()
	if err != nil {
		return nil, fmt.Errorf("azure: %w", err)
	}
	groups := []string{p.ResourceGroup}
	for _, text := range configs {
		var c launchConfig
		if json.Unmarshal(text, &c) == nil && c.ARMGroup != "" && !slices.Contains(groups, c.ARMGroup) {
			groups = append(groups, c.ARMGroup)
		}
	}
	var found []provider.Found
	for _, group := range groups {
		for pages := api.NewListPager(group, nil); pages.More(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("azure: list %s: %w", group, err)
			}
			for _, m := range page.Value {
				if deref(m.Tags[tagRoot]) == p.RootURL && deref(m.Tags["provider-id"]) == p.ProviderID {
					f, err := asFound(m, group)
					if err != nil {
						return nil, err
					}
					found = append(found, f)
				}
			}
		}
	}
	return found, nil
}

func asFound(m *armcompute.VirtualMachine, group string) (provider.Found, error) {
	remembered, err := json.Marshal(data{Group: group})
	f := provider.Found{Instance: provider.Instance{Group: deref(m.Location), ID: deref(m.Name), Key: deref(m.Tags[tagLaunch]), Data: remembered}}
	if m.Properties != nil && m.Properties.TimeCreated != nil {
		f.Created = *m.Properties.TimeCreated
	}
	return f, err
}
