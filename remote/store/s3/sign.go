package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Keys are what a bucket's owner gave for it.
type Keys struct {
	Access, Secret string
	Region         string
}

// Signature Version 4, as far as a store of blobs needs it: the body's hash is
// always known, and the time is in a header or, presigned, in the query.
const (
	algorithm = "AWS4-HMAC-SHA256"
	stamp     = "20060102T150405Z"
	unsigned  = "UNSIGNED-PAYLOAD"
)

// sign adds the date, the body's hash and an Authorization that covers every
// header that r has.
func (k Keys) sign(r *http.Request, bodyHash string, now time.Time) {
	r.Header.Set("X-Amz-Date", now.UTC().Format(stamp))
	r.Header.Set("X-Amz-Content-Sha256", bodyHash)
	names, signature := k.signature(r, bodyHash, now)
	r.Header.Set("Authorization", algorithm+" Credential="+k.Access+"/"+k.scope(now)+",SignedHeaders="+names+",Signature="+signature)
}

// presign puts the signature into r's URL: who has the URL may send this
// request, with just these headers, until life is over, and no other one.
func (k Keys) presign(r *http.Request, life time.Duration, now time.Time) {
	q := r.URL.Query()
	q.Set("X-Amz-Algorithm", algorithm)
	q.Set("X-Amz-Credential", k.Access+"/"+k.scope(now))
	q.Set("X-Amz-Date", now.UTC().Format(stamp))
	q.Set("X-Amz-Expires", strconv.Itoa(int(life/time.Second)))
	names, _ := canonicalHeaders(r)
	q.Set("X-Amz-SignedHeaders", names)
	r.URL.RawQuery = query(q)
	_, signature := k.signature(r, unsigned, now)
	r.URL.RawQuery += "&X-Amz-Signature=" + signature
}

// signature is the names of the headers that it covers, and itself.
func (k Keys) signature(r *http.Request, bodyHash string, now time.Time) (names, sig string) {
	names, headers := canonicalHeaders(r)
	request := strings.Join([]string{r.Method, escape(r.URL.Path, true), query(r.URL.Query()), headers, names, bodyHash}, "\n")
	sum := sha256.Sum256([]byte(request))
	text := strings.Join([]string{algorithm, now.UTC().Format(stamp), k.scope(now), hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + k.Secret)
	for _, part := range strings.Split(k.scope(now), "/") {
		key = mac(key, part)
	}
	return names, hex.EncodeToString(mac(key, text))
}

// scope is the day, place and service that a signature is good for.
func (k Keys) scope(now time.Time) string {
	return now.UTC().Format("20060102") + "/" + k.Region + "/s3/aws4_request"
}

// canonicalHeaders is the names and the lines of all headers of r and of host.
func canonicalHeaders(r *http.Request) (names, lines string) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	all := map[string]string{"host": host}
	for name, values := range r.Header {
		all[strings.ToLower(name)] = strings.TrimSpace(strings.Join(values, ","))
	}
	sorted := make([]string, 0, len(all))
	for name := range all {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	var b strings.Builder
	for _, name := range sorted {
		b.WriteString(name + ":" + all[name] + "\n")
	}
	return strings.Join(sorted, ";"), b.String()
}

// query is q sorted and escaped as the signature wants it: a space is %20.
func query(q url.Values) string {
	var pairs []string
	for name, values := range q {
		for _, v := range values {
			pairs = append(pairs, escape(name, false)+"="+escape(v, false))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escape encodes all but the unreserved characters, and the slash of a path.
func escape(s string, path bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_.~", c) >= 0, path && c == '/':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
