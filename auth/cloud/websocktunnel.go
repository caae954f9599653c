package cloud

import (
	"time"
)

const (
	tunnelLife = 96 * time.Hour
	tunnelSkew = 15 * time.Minute // how wrong the tunnel's clock may be
)

// TunnelToken lets its holder offer a tunnel under the name client at the servers of an audience.
type TunnelToken struct {
	Token   string
	Expires time.Time
}

// tunnelClaims are what websocktunnel checks (taskcluster-map 17.4), in seconds since 1970.
type tunnelClaims struct {
	TunnelID  string `json:"tid"`
	Audience  string `json:"aud"`
	Subject   string `json:"sub"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	Issuer    string `json:"iss"`
}

// Websocktunnel signs a token for a tunnel; actor is who asks for it.
func (c *Cloud) Websocktunnel(now time.Time, actor, audience, client string) (TunnelToken, error) {
	if len(c.tunnel) == 0 {
		return TunnelToken{}, notConfigured("websocktunnel", "websocktunnel")
	}
	expires := now.Add(tunnelLife).Truncate(time.Second)
	token, err := signHS256(c.tunnel, tunnelClaims{
		TunnelID: client, Audience: audience, Subject: actor, Issuer: "taskcluster-auth",
		IssuedAt: now.Unix(), NotBefore: now.Add(-tunnelSkew).Unix(), Expires: expires.Unix(),
	})
	return TunnelToken{token, expires}, err
}
