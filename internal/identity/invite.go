package identity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"lethe/internal/matrix"
)

// codeInvalidPepper says that the pepper of a lookup has been replaced.
const codeInvalidPepper matrix.Code = "M_INVALID_PEPPER"

// Lookup returns the user who has bound an identifier at an identity server, ""
// if nobody has (Identity Service API, POST /lookup). accessToken is the user's
// who asks.
func (c *Client) Lookup(
	ctx context.Context, server matrix.ServerName, accessToken string, pid matrix.Threepid,
) (matrix.UserID, error) {
	user, err := c.lookup(ctx, server, accessToken, pid)
	var status *StatusError
	if errors.As(err, &status) && status.Code == codeInvalidPepper {
		user, err = c.lookup(ctx, server, accessToken, pid) // it was replaced between the two requests
	}
	return user, err
}

func (c *Client) lookup(
	ctx context.Context, server matrix.ServerName, accessToken string, pid matrix.Threepid,
) (matrix.UserID, error) {
	var hash struct {
		Pepper     string   `json:"lookup_pepper"`
		Algorithms []string `json:"algorithms"`
	}
	err := c.ask(ctx, http.MethodGet, server, "/_matrix/identity/v2/hash_details", accessToken, nil, &hash)
	if err != nil {
		return "", err
	}
	algorithm, address := "sha256", pid.Address+" "+pid.Medium
	if slices.Contains(hash.Algorithms, algorithm) {
		sum := sha256.Sum256([]byte(address + " " + hash.Pepper))
		address = base64.RawURLEncoding.EncodeToString(sum[:])
	} else {
		algorithm = "none"
	}
	var found struct {
		Mappings map[string]matrix.UserID `json:"mappings"`
	}
	err = c.ask(ctx, http.MethodPost, server, "/_matrix/identity/v2/lookup", accessToken, map[string]any{
		"algorithm": algorithm, "pepper": hash.Pepper, "addresses": []string{address},
	}, &found)
	user := found.Mappings[address]
	if err != nil || user == "" {
		return "", err
	}
	return matrix.ParseUserID(string(user))
}

// Invitation is an invite to whoever has an identifier. What is "" is not told.
type Invitation struct {
	Medium            string        `json:"medium"`
	Address           string        `json:"address"`
	RoomID            matrix.RoomID `json:"room_id"`
	Sender            matrix.UserID `json:"sender"`
	RoomAlias         string        `json:"room_alias,omitzero"`
	RoomAvatarURL     string        `json:"room_avatar_url,omitzero"`
	RoomJoinRules     string        `json:"room_join_rules,omitzero"`
	RoomName          string        `json:"room_name,omitzero"`
	RoomType          string        `json:"room_type,omitzero"`
	SenderDisplayName string        `json:"sender_display_name,omitzero"`
	SenderAvatarURL   string        `json:"sender_avatar_url,omitzero"`
}

// PublicKey is a key that may sign for an invite.
type PublicKey struct {
	Key         string `json:"public_key"`
	ValidityURL string `json:"key_validity_url,omitzero"`
}

// Stored is what an identity server says of an invite that it keeps.
type Stored struct {
	Token       string      `json:"token"`
	PublicKeys  []PublicKey `json:"public_keys"`
	DisplayName string      `json:"display_name"`
}

// tokenGrammar is that of tokens of stored invites.
var tokenGrammar = regexp.MustCompile(`^[0-9a-zA-Z.=_-]{1,255}$`)

// StoreInvite has an identity server keep an invite for whoever binds the
// identifier, and tell them (Identity Service API, POST /store-invite).
func (c *Client) StoreInvite(
	ctx context.Context, server matrix.ServerName, accessToken string, inv Invitation,
) (Stored, error) {
	var stored Stored
	err := c.ask(ctx, http.MethodPost, server, "/_matrix/identity/v2/store-invite", accessToken, inv, &stored)
	switch {
	case err != nil:
		return stored, err
	case !tokenGrammar.MatchString(stored.Token):
		return stored, fmt.Errorf("identity server %s: the token of the invite is none", server)
	case len(stored.PublicKeys) == 0:
		return stored, fmt.Errorf("identity server %s: the invite has no public keys", server)
	}
	return stored, nil
}

// KeyIsValid asks whoever publishes a key of an invite whether it still is
// (Identity Service API, GET /pubkey/isvalid). A key without an URL always is.
func (c *Client) KeyIsValid(ctx context.Context, key PublicKey) (bool, error) {
	if key.ValidityURL == "" {
		return true, nil
	}
	u, err := url.Parse(key.ValidityURL)
	if err != nil || !strings.EqualFold(u.Scheme, "https") || u.Host == "" || u.User != nil {
		return false, errors.New("the URL that tells whether the key is valid is no https URL")
	}
	query := u.Query()
	query.Set("public_key", key.Key)
	u.RawQuery = query.Encode()
	resp, err := c.out.Do(ctx, http.MethodGet, u.String(), nil, nil)
	if err == nil && resp.Status != http.StatusOK {
		err = fmt.Errorf("it answered %d", resp.Status)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", u.Host, err)
	}
	var answer struct {
		Valid bool `json:"valid"`
	}
	err = json.Unmarshal(resp.Body, &answer)
	return answer.Valid, err
}

// ask makes a request with a user's token, with body as JSON (nil: none), and
// reads the answer into dst.
func (c *Client) ask(
	ctx context.Context, method string, server matrix.ServerName, path, accessToken string, body, dst any,
) error {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return err
		}
	}
	header := http.Header{"Authorization": {"Bearer " + accessToken}}
	resp, err := c.do(ctx, method, server, path, header, raw)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(resp.Body, dst); err != nil {
		return fmt.Errorf("identity server %s: its answer: %w", server, err)
	}
	return nil
}

// Explain is what a client is told of an error of this package.
func Explain(err error) error {
	var status *StatusError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status) && errors.Is(err, ErrRefused):
		code := status.Code
		if code == "" {
			code = matrix.CodeUnknown
		}
		return matrix.Errorf(code, "The identity server refused this.").WithStatus(http.StatusBadRequest).Because(err)
	}
	return matrix.Errorf(matrix.CodeUnknown, "The identity server could not be asked.").
		WithStatus(http.StatusBadGateway).Because(err)
}
