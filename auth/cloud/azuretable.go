package cloud

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The table service's version that requests and signatures follow, and the form of its times.
const (
	tableVersion = "2019-02-02"
	tableTime    = "2006-01-02T15:04:05Z"
)

// mac signs text with the account's key.
func (a *azureAccount) mac(text string) string {
	sum := hmac.New(sha256.New, a.key)
	sum.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// tableRequest makes a request to the table service, signed by the account (scheme SharedKeyLite).
func (a *azureAccount) tableRequest(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Request, error) {
	u, err := url.Parse(a.tables + path)
	if err != nil {
		return nil, fmt.Errorf("cloud: azure tables: %w", err)
	}
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("cloud: azure tables: %w", err)
	}
	date := time.Now().UTC().Format(http.TimeFormat)
	req.Header.Set("X-Ms-Date", date)
	req.Header.Set("X-Ms-Version", tableVersion)
	req.Header.Set("Accept", "application/json;odata=nometadata")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Prefer", "return-no-content")
	}
	req.Header.Set("Authorization", "SharedKeyLite "+a.name+":"+a.mac(date+"\n/"+a.name+u.EscapedPath()))
	return req, nil
}

// AzureTables lists tables of an account from a token on, in Azure's own pages. The token returned is
// "" after the last.
func (c *Cloud) AzureTables(ctx context.Context, account, token string) (names []string, next string, err error) {
	a, err := c.azureAccount(account)
	if err != nil {
		return nil, "", err
	}
	query := url.Values{}
	if token != "" {
		query.Set("NextTableName", token)
	}
	req, err := a.tableRequest(ctx, http.MethodGet, "/Tables", query, nil)
	if err != nil {
		return nil, "", err
	}
	var page struct {
		Value []struct{ TableName string } `json:"value"`
	}
	header, err := exchange(a.client, "Azure", req, &page)
	if err != nil {
		return nil, "", err
	}
	for _, table := range page.Value {
		names = append(names, table.TableName)
	}
	return names, header.Get("X-Ms-Continuation-NextTableName"), nil
}

// AzureTable signs for a table. Read-write makes it when it does not exist.
func (c *Cloud) AzureTable(ctx context.Context, now time.Time, account, table string, level Level) (Signature, error) {
	a, err := c.azureAccount(account)
	if err != nil {
		return Signature{}, err
	}
	allowed := "r"
	if level == ReadWrite {
		allowed = "raud"
		if err := a.createTable(ctx, table); err != nil {
			return Signature{}, err
		}
	}
	expiry := now.Add(azureLife).UTC().Truncate(time.Second)
	return Signature{a.signTable(table, allowed, now.Add(-azureSkew).UTC(), expiry), expiry}, nil
}

func (a *azureAccount) createTable(ctx context.Context, table string) error {
	body, err := json.Marshal(map[string]string{"TableName": table})
	if err != nil {
		return err
	}
	req, err := a.tableRequest(ctx, http.MethodPost, "/Tables", nil, body)
	if err != nil {
		return err
	}
	_, err = exchange(a.client, "Azure", req, nil)
	if statusOf(err) == http.StatusConflict {
		return nil // it is there
	}
	return err
}

// signTable signs by the rules for a service's signature of a whole table: no policy, no limit of
// addresses, no range of keys.
func (a *azureAccount) signTable(table, allowed string, start, expiry time.Time) string {
	protocol := ""
	if a.https {
		protocol = "https"
	}
	values := url.Values{
		"sv": {tableVersion}, "tn": {table}, "sp": {allowed}, "st": {start.Format(tableTime)}, "se": {expiry.Format(tableTime)},
	}
	if protocol != "" {
		values.Set("spr", protocol)
	}
	resource := "/table/" + a.name + "/" + strings.ToLower(table)
	values.Set("sig", a.mac(strings.Join([]string{
		allowed, values.Get("st"), values.Get("se"), resource, "", "", protocol, tableVersion, "", "", "", "",
	}, "\n")))
	return values.Encode()
}
