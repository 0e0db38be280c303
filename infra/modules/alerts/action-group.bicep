// Who hears of alerts.

@description('Its name.')
param name string
@description('Tags.')
param tags { *: string }
@description('Addresses; with none, alerts still show in the portal.')
param emails string[]

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: name
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'everscore'
    emailReceivers: [
      for (email, index) in emails: {
        name: 'email-${index}'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

@description('Its resource id.')
output id string = group.id
