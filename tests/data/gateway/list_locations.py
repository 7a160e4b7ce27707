import requests

url = "https://host.com/ocpi/cpos/cpo_id/locations"

headers = {"Authorization": "Bearer <token>"}

response = requests.get(url, headers=headers)

print(response.json())
