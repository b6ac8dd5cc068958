package clientapi

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

func (a *API) sessionRoutes() []wire.Route {
	return []wire.Route{
		{Method: http.MethodPost, Path: "/_matrix/client/v3/refresh", Handle: a.open(a.refresh)},
		{Method: http.MethodPost, Path: "/_matrix/client/v3/logout", Handle: a.anyAuthed(a.logout)},
		{Method: http.MethodPost, Path: "/_matrix/client/v3/logout/all", Handle: a.anyAuthed(a.logoutAll)},
		{Method: http.MethodGet, Path: "/_matrix/client/v3/account/whoami", Handle: a.authed(a.whoami)},
	}
}

// refresh is POST /refresh.
func (a *API) refresh(r *wire.Request) (any, error) {
	var q struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if q.RefreshToken == "" {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request has no refresh_token.")
	}
	session, err := a.Accounts.Refresh(r.Context(), q.RefreshToken)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"access_token": session.AccessToken, "refresh_token": session.RefreshToken,
		"expires_in_ms": session.ExpiresIn.Milliseconds(),
	}, nil
}

// logout is POST /logout.
func (a *API) logout(r *wire.Request, who account.Requester) (any, error) {
	return nil, a.Accounts.Logout(r.Context(), who)
}

// logoutAll is POST /logout/all.
func (a *API) logoutAll(r *wire.Request, who account.Requester) (any, error) {
	return nil, a.Accounts.LogoutAll(r.Context(), who.UserID)
}

// whoami is GET /account/whoami.
func (a *API) whoami(_ *wire.Request, who account.Requester) (any, error) {
	return struct {
		UserID   matrix.UserID `json:"user_id"`
		DeviceID string        `json:"device_id,omitzero"`
		Guest    bool          `json:"is_guest"`
	}{who.UserID, who.DeviceID, who.Guest}, nil
}

func (a *API) deviceRoutes() []wire.Route {
	const path = "/_matrix/client/v3/devices/{deviceId}"
	return []wire.Route{
		{Method: http.MethodGet, Path: "/_matrix/client/v3/devices", Handle: a.authed(a.devices)},
		{Method: http.MethodGet, Path: path, Handle: a.authed(a.device)},
		{Method: http.MethodPut, Path: path, Handle: a.authed(a.updateDevice)},
		{Method: http.MethodDelete, Path: path, Handle: a.member(a.deleteDevice)},
		{Method: http.MethodPost, Path: "/_matrix/client/v3/delete_devices", Handle: a.member(a.deleteDevices)},
	}
}

// deviceBody is a device (CS API, GET /devices).
type deviceBody struct {
	DeviceID    string           `json:"device_id"`
	DisplayName string           `json:"display_name,omitzero"`
	LastSeenIP  string           `json:"last_seen_ip,omitzero"`
	LastSeenTS  matrix.Timestamp `json:"last_seen_ts,omitzero"`
}

func (a *API) devices(r *wire.Request, who account.Requester) (any, error) {
	devices, err := a.Accounts.Devices(r.Context(), who.UserID)
	list := make([]deviceBody, 0, len(devices))
	for _, d := range devices {
		list = append(list, deviceBody{d.DeviceID, d.DisplayName, d.LastSeenIP, d.LastSeenAt})
	}
	return map[string]any{"devices": list}, err
}

func (a *API) device(r *wire.Request, who account.Requester) (any, error) {
	d, err := a.Accounts.Device(r.Context(), who.UserID, r.PathValue("deviceId"))
	return deviceBody{d.DeviceID, d.DisplayName, d.LastSeenIP, d.LastSeenAt}, err
}

// updateDevice is PUT /devices/{deviceId}. An application service makes devices
// with it (Application Service API, Device management).
func (a *API) updateDevice(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		DisplayName *string `json:"display_name"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	device := r.PathValue("deviceId")
	if who.Appservice != "" {
		created, err := a.Accounts.EnsureDevice(r.Context(), who.UserID, device, deref(q.DisplayName))
		if err != nil {
			return nil, err
		}
		if created {
			return &wire.Response{Status: http.StatusCreated}, nil
		}
	}
	if q.DisplayName == nil {
		_, err := a.Accounts.Device(r.Context(), who.UserID, device)
		return nil, err
	}
	return nil, a.Accounts.RenameDevice(r.Context(), who.UserID, device, *q.DisplayName)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (a *API) deleteDevice(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		Auth jsontext.Value `json:"auth"`
	}
	if err := r.DecodeOptional(&q); err != nil {
		return nil, err
	}
	return a.dropDevices(r, who, q.Auth, []string{r.PathValue("deviceId")})
}

func (a *API) deleteDevices(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		Auth    jsontext.Value `json:"auth"`
		Devices []string       `json:"devices"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if q.Devices == nil {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request has no list of devices.")
	}
	return a.dropDevices(r, who, q.Auth, q.Devices)
}

// dropDevices deletes devices after user-interactive authentication, which an
// application service does not need for its users.
func (a *API) dropDevices(r *wire.Request, who account.Requester, auth jsontext.Value, devices []string) (any, error) {
	if who.Appservice != "" {
		return nil, a.Accounts.DeleteDevices(r.Context(), who.UserID, devices, nil)
	}
	done, err := a.authorize(r, uia{who: &who, flows: passwordFlow, auth: auth})
	if err != nil {
		return nil, err
	}
	return nil, a.Accounts.DeleteDevices(r.Context(), who.UserID, devices, done.Consume)
}
