package app

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/login"
)

// issuerToken is the access token of the client that signs people's credentials. It follows from the
// queue's, so that all servers have the same, and files of secrets of earlier versions go on.
func issuerToken(s Secrets) (string, error) {
	key, err := hkdf.Key(sha256.New, []byte(s.QueueToken), nil, login.Issuer, 33)
	if err != nil {
		return "", fmt.Errorf("app: token of %s: %w", login.Issuer, err)
	}
	return base64.RawURLEncoding.EncodeToString(key), nil
}

// loginClient is the client that signs people's credentials; there is none where nobody signs in.
func (a *App) loginClient() ([]auth.StaticClient, error) {
	if len(a.config.Login.Providers) == 0 {
		return nil, nil
	}
	token, err := issuerToken(a.config.Secrets)
	return []auth.StaticClient{{
		ClientID: login.Issuer, AccessToken: token, Scopes: login.IssuerScopes(a.config.Login), Description: "Signs the credentials of people.", Overlap: auth.MaxOverlap,
	}}, err
}

func (a *App) makeLogin() error {
	token, err := issuerToken(a.config.Secrets)
	if err != nil {
		return err
	}
	a.login, err = login.New(login.Deps{
		Pool: a.pool, Auth: a.auth, Ring: a.ring, Issuer: hawk.Credentials{ClientID: login.Issuer, AccessToken: token},
		RootURL: a.config.RootURL, Log: a.config.Log,
	}, a.config.Login)
	return err
}

// startLogin makes the role that lets people manage their own clients, unless there is one, and begins
// the rounds of the room.
func (a *App) startLogin(ctx context.Context) error {
	if len(a.config.Login.Providers) > 0 {
		if err := a.role(ctx, "login-identity:*", login.PersonScopes(), "What all people who sign in may do: manage clients below their own identity."); err != nil {
			return err
		}
	}
	a.login.Start(ctx)
	a.onStop(func(context.Context) error { a.login.Stop(); return nil })
	return nil
}
