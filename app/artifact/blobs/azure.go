package blobs

import (
	"context"

	"gocloud.dev/blob/azureblob"

	"github.com/onda-serving/onda/app/scoring"
)

func openAzure(ctx context.Context, l location) (place, error) {
	options := azureblob.NewDefaultServiceURLOptions() // of the environment
	if options.SASToken != "" && len(l.query) > 0 {
		return nil, scoring.Errorf(scoring.Unavailable, "%s: with AZURE_STORAGE_SAS_TOKEN the account is that of AZURE_STORAGE_ACCOUNT: the URL must have no parameters", l)
	}
	if options.AccountName == "" && l.query.Get("storage_account") == "" {
		return nil, scoring.Errorf(scoring.Unavailable, "%s: the storage account is missing: set AZURE_STORAGE_ACCOUNT, or add ?storage_account=NAME to the URL in the server's settings", l)
	}
	// Not gocloud's own opener: that reads the environment once, and keeps what it read.
	opener := azureblob.URLOpener{MakeClient: azureblob.NewDefaultClient, ServiceURLOptions: *options}
	b, err := opener.OpenBucketURL(ctx, l.url())
	if err != nil {
		return nil, err
	}
	return newBucket(b, l), nil
}
