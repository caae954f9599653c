package pools

import (
	"encoding/json"

	"github.com/treeline-ci/treeline/pools/schemas"
)

// ConfigForm returns the schema by which a form asks for the config of a provider's pools (see schemas.Configs.ForForm);
// nil when there is no such provider.
func (p *Pools) ConfigForm(providerID string) (map[string]any, error) {
	doc, err := p.configs.ForForm(p.typeOf(providerID))
	return doc, failed("schema of "+providerID, err)
}

// Complaints says what is wrong with a config for a provider's pools, member by member. A provider may refuse more than
// its schema does: Create and Update tell.
func (p *Pools) Complaints(providerID string, config json.RawMessage) []schemas.Complaint {
	return p.configs.Complaints(p.typeOf(providerID), config)
}

func (p *Pools) typeOf(providerID string) string {
	if who := p.Providers[providerID]; who != nil {
		return who.Type()
	}
	if providerID == NullProvider {
		return "null"
	}
	return ""
}
