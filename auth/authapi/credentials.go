package authapi

import (
	"context"
	"time"

	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/task"
)

// byLevel asks for the scope of the level; who holds the one to write may also read.
func byLevel(service, what string) scope.Template {
	read, write := scope.Text("auth:"+service+":read-only:"+what), scope.Text("auth:"+service+":read-write:"+what)
	return scope.If{Cond: "levelIsReadOnly", Then: scope.Any{read, write}, Else: write}
}

// authorizeLevel checks scopes made by byLevel.
func authorizeLevel(ctx context.Context, r *web.Request) (cloud.Level, error) {
	level := cloud.Level(r.Params["level"])
	return level, r.Authorize(ctx, map[string]any{"levelIsReadOnly": level == cloud.ReadOnly})
}

func (d door) credentials() []web.Endpoint {
	list := stable("AWS Credentials", web.Endpoint{
		Name: "awsS3Credentials", Method: "GET", Route: "/aws/s3/<level>/<bucket>/<prefix*>", Also: []string{"/aws/s3/<level>/<bucket>/"},
		Query: map[string]string{"format": `^iam-role-compat$`}, Scopes: byLevel("aws-s3", "<bucket>/<prefix>"),
		Output: "aws-s3-credentials-response.json", Handle: d.awsS3, Title: "Credentials for S3",
		Description: "Credentials for the objects of a bucket whose keys begin with `prefix`, for an hour. `level` is `read-only` or `read-write`. " +
			"The prefix must not begin with a slash; one that does not end in a slash also covers `prefix.txt`, say. " +
			"Access lists cannot be changed with them. `format=iam-role-compat` answers as EC2's metadata service does.",
	})
	list = append(list, stable("Sentry Credentials", web.Endpoint{
		Name: "sentryDSN", Method: "GET", Route: "/sentry/<project>/dsn", Scopes: scope.Text("auth:sentry:<project>"),
		Output: "sentry-dsn-response.json", Handle: d.sentry, Title: "DSN of a Sentry project",
		Description: "Where a project may report errors for the next day. The project is made when it does not exist.",
	})...)
	list = append(list, stable("Websocktunnel Credentials", web.Endpoint{
		Name: "websocktunnelToken", Method: "GET", Route: "/websocktunnel/<wstAudience>/<wstClient>",
		Scopes: scope.Text("auth:websocktunnel-token:<wstAudience>/<wstClient>"),
		Output: "websocktunnel-token-response.json", Handle: d.websocktunnel, Title: "Token for a tunnel",
		Description: "Lets its holder offer a tunnel named `wstClient` at the websocktunnel servers of an audience, for some days.",
	})...)
	return append(list, stable("GCP Credentials", web.Endpoint{
		Name: "gcpCredentials", Method: "GET", Route: "/gcp/credentials/<projectId>/<serviceAccount>",
		Scopes: scope.Text("auth:gcp:access-token:<projectId>/<serviceAccount>"),
		Output: "gcp-credentials-response.json", Handle: d.gcp, Title: "Token of a Google Cloud service account",
		Description: "An access token of a service account that the deployment allows, for an hour.",
	})...)
}

func (d door) awsS3(ctx context.Context, r *web.Request) (any, error) {
	level, err := authorizeLevel(ctx, r)
	if err != nil {
		return nil, err
	}
	got, err := d.cloud.S3(ctx, level, r.Params["bucket"], r.Params["prefix"])
	if err != nil {
		return nil, err
	}
	if r.HasQuery("format") {
		return web.Status{Code: 200, Body: map[string]string{
			"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": task.At(time.Now()).String(), "Expiration": task.At(got.Expires).String(),
			"AccessKeyId": got.AccessKeyID, "SecretAccessKey": got.SecretAccessKey, "Token": got.SessionToken,
		}}, nil
	}
	return map[string]any{
		"credentials": map[string]string{"accessKeyId": got.AccessKeyID, "secretAccessKey": got.SecretAccessKey, "sessionToken": got.SessionToken},
		"expires":     task.At(got.Expires),
	}, nil
}

func (d door) sentry(ctx context.Context, r *web.Request) (any, error) {
	got, err := d.cloud.Sentry(ctx, time.Now(), r.Params["project"])
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"project": r.Params["project"], "dsn": map[string]string{"secret": got.Secret, "public": got.Public}, "expires": task.At(got.Expires),
	}, nil
}

func (d door) websocktunnel(ctx context.Context, r *web.Request) (any, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	audience, client := r.Params["wstAudience"], r.Params["wstClient"]
	got, err := d.cloud.Websocktunnel(time.Now(), caller.ClientID, audience, client)
	if err != nil {
		return nil, err
	}
	return map[string]any{"wstClient": client, "wstAudience": audience, "token": got.Token, "expires": task.At(got.Expires)}, nil
}

func (d door) gcp(ctx context.Context, r *web.Request) (any, error) {
	got, err := d.cloud.GCP(ctx, r.Params["projectId"], r.Params["serviceAccount"])
	if err != nil {
		return nil, err
	}
	return map[string]any{"accessToken": got.AccessToken, "expireTime": task.At(got.Expires)}, nil
}
