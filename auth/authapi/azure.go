package authapi

import (
	"context"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/task"
)

func (d door) azure() []web.Endpoint {
	token := map[string]string{"continuationToken": web.TokenPattern}
	list := []web.Endpoint{
		{
			Name: "azureAccounts", Route: "/azure/accounts", Scopes: scope.Text("auth:azure-table:list-accounts"),
			Output: "azure-account-list-response.json", Handle: d.azureAccounts, Title: "List Azure accounts",
			Description: "The storage accounts that this deployment hands out credentials for.",
		},
		{
			Name: "azureTables", Route: "/azure/<account>/tables", Query: token, Scopes: scope.Text("auth:azure-table:list-tables:<account>"),
			Output: "azure-table-list-response.json", Handle: d.azureTables, Title: "List tables of an Azure account",
			Description: "A page of the tables of a storage account.",
		},
		{
			Name: "azureTableSAS", Route: "/azure/<account>/table/<table>/<level>", Scopes: byLevel("azure-table", "<account>/<table>"),
			Output: "azure-table-access-response.json", Handle: d.azureTable, Title: "Signature for an Azure table",
			Description: "A shared access signature for a table, for less than half an hour. `level` is `read-only` or `read-write`; read-write makes the table when there is none.",
		},
		{
			Name: "azureContainers", Route: "/azure/<account>/containers", Query: token, Scopes: scope.Text("auth:azure-container:list-containers:<account>"),
			Output: "azure-container-list-response.json", Handle: d.azureContainers, Title: "List containers of an Azure account",
			Description: "A page of the blob containers of a storage account.",
		},
		{
			Name: "azureContainerSAS", Route: "/azure/<account>/containers/<container>/<level>", Scopes: byLevel("azure-container", "<account>/<container>"),
			Output: "azure-container-response.json", Handle: d.azureContainer, Title: "Signature for an Azure container",
			Description: "A shared access signature for a blob container, for less than half an hour. `level` is `read-only` or `read-write`; read-write makes the container when there is none.",
		},
	}
	for i := range list {
		list[i].Method, list[i].Category, list[i].Stability = "GET", "Azure Credentials", "deprecated"
	}
	return list
}

func (d door) azureAccounts(context.Context, *web.Request) (any, error) {
	accounts, err := d.cloud.AzureAccounts()
	if err != nil {
		return nil, err
	}
	return map[string]any{"accounts": accounts}, nil
}

// names is a page of what Azure listed under a name.
func names(as string, list []string, token string) map[string]any {
	if list == nil {
		list = []string{}
	}
	out := map[string]any{as: list}
	if token != "" {
		out["continuationToken"] = token
	}
	return out
}

func (d door) azureTables(ctx context.Context, r *web.Request) (any, error) {
	list, token, err := d.cloud.AzureTables(ctx, r.Params["account"], r.Query("continuationToken"))
	if err != nil {
		return nil, err
	}
	return names("tables", list, token), nil
}

func (d door) azureContainers(ctx context.Context, r *web.Request) (any, error) {
	list, token, err := d.cloud.AzureContainers(ctx, r.Params["account"], r.Query("continuationToken"))
	if err != nil {
		return nil, err
	}
	return names("containers", list, token), nil
}

func (d door) azureTable(ctx context.Context, r *web.Request) (any, error) {
	level, err := authorizeLevel(ctx, r)
	if err != nil {
		return nil, err
	}
	got, err := d.cloud.AzureTable(ctx, time.Now(), r.Params["account"], r.Params["table"], level)
	if err != nil {
		return nil, err
	}
	return map[string]any{"sas": got.SAS, "expiry": task.At(got.Expiry)}, nil
}

func (d door) azureContainer(ctx context.Context, r *web.Request) (any, error) {
	container := r.Params["container"]
	if strings.Contains(container, "--") {
		return nil, fault.New(fault.BadArguments, "The container %q must not have two dashes in a row.", container)
	}
	level, err := authorizeLevel(ctx, r)
	if err != nil {
		return nil, err
	}
	got, err := d.cloud.AzureContainer(ctx, time.Now(), r.Params["account"], container, level)
	if err != nil {
		return nil, err
	}
	return map[string]any{"sas": got.SAS, "expiry": task.At(got.Expiry)}, nil
}
