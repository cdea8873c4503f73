// Package blobs reads and keeps the files of models where an organisation keeps files: in
// folders, Azure Blob Storage, Amazon S3 and what speaks its protocol, and Google Cloud
// Storage. It is the only importer of gocloud.dev, which speaks with all but the last: see
// package gcs.
//
// Places are named by URLs:
//
//	file:///srv/models/faq/3              a folder
//	azblob://container/faq/3              below a container of Azure Blob Storage
//	s3://bucket/faq/3?region=eu-west-1    below a bucket of Amazon S3
//	gs://bucket/faq/3                     below a bucket of Google Cloud Storage
//
// Which of them may be read is the operator's decision: see [Allow]. What follows the
// question mark says how a storage is reached; no credentials stand there, but in the
// environment, which the libraries of the storages read.
//
// # Azure Blob Storage
//
// The storage account is AZURE_STORAGE_ACCOUNT, or the parameter storage_account. What the
// process shows to the account is the first of these that is set:
//
//   - A key: AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY.
//   - A shared access signature: AZURE_STORAGE_SAS_TOKEN. The account is then that of
//     AZURE_STORAGE_ACCOUNT alone, so that no URL can send the signature elsewhere.
//   - A connection string: AZURE_STORAGE_CONNECTION_STRING. It does not follow the parameters.
//   - None of them, as it should be in AKS: the workload's identity. The webhook of Microsoft
//     Entra Workload ID sets AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE and
//     AZURE_AUTHORITY_HOST in a pod with the label azure.workload.identity/use: "true", whose
//     service account has the annotation azure.workload.identity/client-id; only the name of
//     the account is left to set. A managed identity, a service principal and the login of
//     the command az work in the same way. The identity needs the role Storage Blob Data
//     Reader for a source, and Storage Blob Data Contributor for a [Store].
//
// The emulator Azurite is reached with the parameters domain=127.0.0.1:10000, protocol=http
// and storage_account=devstoreaccount1, and with its well-known key as above. domain is also
// for other clouds than the public one: domain=blob.core.chinacloudapi.cn.
//
// # Amazon S3
//
// Region and credentials come from the usual places of the AWS SDK: AWS_REGION,
// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, or the role of the pod or machine. The
// parameters are region, profile, role, anonymous=true and, for other servers of the same
// protocol, endpoint=https://minio.example:9000 with use_path_style=true.
//
// # Google Cloud Storage
//
// Credentials are the application default credentials: the file that
// GOOGLE_APPLICATION_CREDENTIALS names, or that gcloud wrote, of a service account, a user or a
// federated identity; else those of the machine or the pod, which workload identity in GKE
// provides. The identity needs the role Storage Object Viewer for a source, and Storage Object
// User for a [Store]. The parameter anonymous=true shows none, for public buckets.
// STORAGE_EMULATOR_HOST is host and port of an emulator, or its URL; no credentials are sent
// there.
package blobs

import (
	"context"
	"io"
)

// Source reads the files of one version by their paths. Its methods may be called at the same
// time. Their errors are *scoring.Error, save those of a context that was cancelled:
// NotFound, Denied and Invalid stay as they are when it is tried again, Unavailable does not.
type Source interface {
	// Open reads the file from the offset, in bytes, to its end. ctx must live as long as
	// the reader. An offset beyond the end is Invalid, or an empty reader.
	Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error)
	// List gives the size of each file in bytes, by paths. Hidden files are not in it: a
	// part of their path begins with a dot.
	List(ctx context.Context) (map[string]int64, error)
	// Close ends the source; readers that are open stay so.
	Close() error
}

// Open opens the folder that the URL names, which must be below one of allow. It does not
// find out whether there is anything: the first call of the source does. The error is
// Invalid for what is no such URL, and Denied for one that allow does not cover.
func Open(ctx context.Context, url string, allow Allow) (Source, error) {
	l, err := parse(url)
	if err != nil {
		return nil, err
	}
	base, err := allow.find(l)
	if err != nil {
		return nil, err
	}
	p, err := openPlace(ctx, base)
	if err != nil {
		return nil, err
	}
	return &source{place: p, prefix: l.below(base), where: l.String()}, nil
}

// source is a folder of a place.
type source struct {
	place  place
	prefix string // ends in a slash, if it is not empty
	where  string // for errors
}

func (s *source) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	if err := CheckPath(name); err != nil {
		return nil, err
	}
	r, err := s.place.open(ctx, s.prefix+name, offset)
	if err != nil {
		return nil, explain(ctx, err, name, s.where)
	}
	return r, nil
}

func (s *source) List(ctx context.Context) (map[string]int64, error) {
	all, err := s.place.list(ctx, s.prefix)
	if err != nil {
		return nil, explain(ctx, err, "", s.where)
	}
	return visible(all, s.where)
}

func (s *source) Close() error { return s.place.close() }
