package clients_test

import "regexp"

// pending are the tests of what Onda does not offer yet, by module and name, with the
// reason. One that passes has to leave the list.
var pending = []struct {
	tests  *regexp.Regexp
	reason string
}{
	{regexp.MustCompile(`^triton_grpc(_aio)?/Inference\.test_deflate$`), "deflate over gRPC"},
}

// whyPending gives the reason, or "".
func whyPending(test string) string {
	for _, p := range pending {
		if p.tests.MatchString(test) {
			return p.reason
		}
	}
	return ""
}
