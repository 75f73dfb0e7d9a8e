// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// verbatim is a value of the SDK as the AWS CLI prints it: fields by their names in EC2's model, which the SDK keeps;
// what EC2 did not send is left out, while an empty list that it did send stays; times in ISO 8601.
func verbatim(value any) (json.RawMessage, error) {
	raw, err := json.Marshal(plain(reflect.ValueOf(value)))
	if err != nil {
		return nil, fmt.Errorf("write %T as the AWS CLI does: %w", value, err)
	}
	return raw, nil
}

// plain turns a value into maps, lists and scalars; nil for what is absent.
func plain(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem())
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		out := make([]any, 0, v.Len())
		for i := range v.Len() {
			out = append(out, plain(v.Index(i)))
		}
		return out
	case reflect.Struct:
		if at, ok := reflect.TypeAssert[time.Time](v); ok {
			return at.UTC().Format("2006-01-02T15:04:05.999999") + "+00:00"
		}
		out := map[string]any{}
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				if value := plain(v.Field(i)); value != nil {
					out[field.Name] = value
				}
			}
		}
		return out
	case reflect.String: // an enumeration's is empty where it is absent; all other strings are pointers
		if v.String() == "" {
			return nil
		}
		return v.String()
	default:
		return v.Interface()
	}
}
