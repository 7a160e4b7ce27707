import requests

url = "https://host.com/ocpi/cpos/42"

headers = {"Authorization": "Bearer <token>"}

response = requests.get(url, headers=headers)

print(response.json())
