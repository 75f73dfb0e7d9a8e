// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

// explainConfig explains why the AWS configuration could not be loaded.
func explainConfig(ctx context.Context, err error) *cloud.Error {
	out := &cloud.Error{
		Reason:  cloud.InvalidCredentials,
		Message: "the AWS configuration cannot be read: " + innermost(err),
		Remedy:  "correct the environment variables named AWS_… and the files ~/.aws/config and ~/.aws/credentials",
		Cause:   err,
	}
	if ctx.Err() != nil {
		out.Reason, out.Message, out.Remedy = cloud.Other, "cancelled", ""
	}
	if profile, ok := errors.AsType[config.SharedConfigProfileNotExistError](err); ok {
		out.Message = fmt.Sprintf("the AWS profile %q does not exist", profile.Profile)
		out.Remedy = "set AWS_PROFILE to one that `aws configure list-profiles` shows"
	}
	return out
}

// explainCredentials explains why the chain of credentials gave none.
func explainCredentials(ctx context.Context, err error, at place) *cloud.Error {
	out := credentialsExplanation(ctx, err, at)
	out.Cause = err
	return &out
}

func credentialsExplanation(ctx context.Context, err error, at place) cloud.Error {
	if isCancelled(err) || errors.Is(ctx.Err(), context.Canceled) {
		return cloud.Error{Reason: cloud.Other, Message: "cancelled"}
	}
	operation, called := errors.AsType[*smithy.OperationError](err)
	_, empty := errors.AsType[*credentials.StaticCredentialsEmptyError](err)
	// The instance metadata service is the last in the chain: who gets there has found nothing before.
	if empty || called && operation.Service() == "ec2imds" {
		return cloud.Error{
			Reason:  cloud.NoCredentials,
			Message: "no AWS credentials were found",
			Remedy: "run `aws configure` or `aws sso login`, set AWS_PROFILE, or set AWS_ACCESS_KEY_ID and " +
				"AWS_SECRET_ACCESS_KEY; on EC2, give the instance a role",
		}
	}
	_, session := errors.AsType[*ssocreds.InvalidTokenError](err)
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "UnauthorizedException" {
		session = true // what the SSO service says of a session that it has ended
	}
	if session {
		return cloud.Error{Reason: cloud.ExpiredCredentials, Message: "the AWS SSO session has expired", Remedy: "run `aws sso login`"}
	}
	if called {
		action := strings.ToLower(operation.Service()) + ":" + operation.Operation()
		out := explanation(action, operation, place{region: at.region, service: "AWS " + operation.Service()})
		out.Action = action
		return out
	}
	text := innermost(err)
	if _, ok := errors.AsType[*processcreds.ProviderError](err); ok {
		text = "credential_process of the AWS config file: " + text
	}
	return cloud.Error{
		Reason:  cloud.InvalidCredentials,
		Message: "the AWS credentials cannot be read: " + text,
		Remedy:  "check AWS_PROFILE, the environment variables named AWS_… and the files ~/.aws/config and ~/.aws/credentials",
	}
}
