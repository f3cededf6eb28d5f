package fakeaws

import (
	"fmt"
	"net/http"
)

// Metadata is what an instance in the VPC is told of itself, by version 2 of the
// service alone, which asks for a token first.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
func Metadata(region, vpc string) http.Handler {
	const (
		token    = "AQAEAexample=="
		lifetime = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
		macs     = "/latest/meta-data/network/interfaces/macs/"
		first    = "02:00:00:00:00:01/"
	)
	documents := map[string]string{
		"/latest/dynamic/instance-identity/document": fmt.Sprintf(`{"region":%q}`, region),
		macs:                    first + "\n02:00:00:00:00:02/",
		macs + first + "vpc-id": vpc,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /latest/api/token", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(lifetime) == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set(lifetime, r.Header.Get(lifetime))
		_, _ = w.Write([]byte(token))
	})
	mux.HandleFunc("GET /latest/", func(w http.ResponseWriter, r *http.Request) {
		document, there := documents[r.URL.Path]
		switch {
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != token:
			w.WriteHeader(http.StatusUnauthorized)
		case !there:
			http.NotFound(w, r)
		default:
			_, _ = w.Write([]byte(document))
		}
	})
	return mux
}
