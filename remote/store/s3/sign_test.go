package s3

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// example is the key pair and the moment of the examples that are published in
// the S3 manual, "Authenticating Requests (AWS Signature Version 4)".
func example() (Keys, time.Time) {
	return Keys{Access: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Region: "us-east-1"},
		time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
}

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestPublishedSignatures(t *testing.T) {
	keys, now := example()
	for _, c := range []struct {
		name, method, url, hash, want string
		header                        map[string]string
	}{
		{"get object", "GET", "/test.txt", emptyHash,
			"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
			map[string]string{"Range": "bytes=0-9"}},
		{"put object", "PUT", "/test$file.text", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			"SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
			map[string]string{"Date": "Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY"}},
		{"lifecycle", "GET", "/?lifecycle", emptyHash,
			"SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", nil},
		{"list objects", "GET", "/?max-keys=2&prefix=J", emptyHash,
			"SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", nil},
	} {
		r, err := http.NewRequest(c.method, "https://examplebucket.s3.amazonaws.com"+c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range c.header {
			r.Header.Set(k, v)
		}
		keys.sign(r, c.hash, now)
		if got := r.Header.Get("Authorization"); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %s\nwant …%s", c.name, got, c.want)
		}
	}
}

func TestPublishedPresigned(t *testing.T) {
	keys, now := example()
	r, err := http.NewRequest("GET", "https://examplebucket.s3.amazonaws.com/test.txt", nil)
	if err != nil {
		t.Fatal(err)
	}
	keys.presign(r, 86400*time.Second, now)
	const want = "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
	if got := r.URL.String(); !strings.HasSuffix(got, want) {
		t.Errorf("%s\nwant …%s", got, want)
	}
}
